"""A list of runs and sweeps: filtered, sorted, and with what differs between them. Imports no torch."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exp.config.metric_names import rank
from exp.config.nearest_names import nearest
from exp.errors import ConfigError, ExpError
from exp.results.differing import find_differing
from exp.results.filters import Filter, apply_filters
from exp.results.find_runs import find_runs
from exp.results.listed import Listed, read_listed, read_listed_jobs
from exp.results.run_folder import is_sweep


@dataclass(frozen=True)
class Listing:
    """Runs and sweeps in their order.

    Attributes:
        found: How many there are without the filters.
        differing: The groups and keys in which they differ.
        metric: What they are sorted by, best first: accuracy/val; None: newest first.
        unreadable: Why others are not listed, for people.
    """

    lines: list[Listed]
    found: int
    differing: list[str]
    metric: str | None
    unreadable: list[str] = field(default_factory=list[str])


def list_runs(folder: Path, filters: Iterable[str] = (), sort: str | None = None, jobs: bool = False) -> Listing:
    """List the runs and sweeps below `folder`.

    Args:
        filters: As `exp.results.filters` reads them. Only runs that pass all of them are listed.
        sort: A metric, loss/val or accuracy; auto: the one that decides in each run; None: newest first.
        jobs: Whether to list the jobs of a sweep instead of the sweep.

    Raises:
        ConfigError: There is no such folder, key or metric, or the runs have no metric in common that decides.
    """
    places = list(find_runs(folder))
    lines, unreadable = list[Listed](), list[str]()
    for place in places:
        try:
            lines += read_listed_jobs(place) if jobs and is_sweep(place) else [read_listed(place)]
        except ExpError as error:  # one damaged file hides no other run
            unreadable.append(f"{place} is not listed: {error.problem}")
    parsed = [one for one in map(Filter.parse, filters) if one is not None]
    kept = apply_filters(lines, parsed)
    metric = None if sort is None or not kept else _find_metric(kept, sort)
    ordered = _newest_first(kept) if metric is None else sort_best_first(kept, metric)
    return Listing(ordered, len(lines), find_differing(ordered) if ordered else [], metric, unreadable)


def sort_best_first(lines: Sequence[Listed], metric: str) -> list[Listed]:
    """Return the runs with the best by `metric` first, and those without it last."""
    name = metric.rpartition("/")[0]
    return sorted(lines, key=lambda one: rank(name, one.metrics.get(metric, math.nan)))


def _newest_first(lines: Sequence[Listed]) -> list[Listed]:
    return sorted(lines, key=lambda one: (one.timestamp, one.folder), reverse=True)


def _find_metric(lines: Sequence[Listed], sort: str) -> str:
    """Return the metric, with its split, that `sort` means."""
    known = list(dict.fromkeys(name for line in lines for name in line.metrics))
    if sort == "auto":
        deciding = list(dict.fromkeys(line.metric for line in lines if line.metric is not None))
        if len(deciding) == 1:
            return deciding[0]
        if not deciding:
            raise ConfigError("--sort: no run has metrics yet", "python -m exp ls", key="--sort")
        most = max(known, key=lambda name: sum(name in line.metrics for line in lines))
        what = f"--sort: the metric that decides differs: {', '.join(deciding)}"
        raise ConfigError(what, f"--sort {most}", key="--sort")
    found = next((name for name in known if sort in (name, name.rpartition("/")[0])), None)
    if found is None:
        near = nearest(sort, known)
        what = f"--sort {sort}: no run has this metric (available: {', '.join(known) or 'none'})"
        raise ConfigError(what, f"--sort {near or (known or ['loss/val'])[0]}", key="--sort")
    return found
