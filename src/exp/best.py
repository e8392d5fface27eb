"""`exp best`: the command that trains the best choice of a sweep, or the best of all runs below a folder."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.config.metric_names import is_higher_better
from exp.config.overrides import override_key, shell_line
from exp.errors import ConfigError
from exp.results.best_job import check_is_sweep, find_best
from exp.results.comparable import comparison_warnings, find_other_meaning
from exp.results.formatting import format_metric, printable
from exp.results.listing import Listing, list_runs
from exp.results.run_folder import is_run, is_sweep, read_command


@dataclass(frozen=True)
class Best(Answer):
    """The best choice.

    Attributes:
        described: It and what it is the best of, in one line.
        folders: Its runs: one, or those of its seeds and folds.
        compared: Number of choices, or of runs and sweeps, that were compared.
        words: The arguments of the command that trains it alone.
    """

    described: str
    folders: Sequence[Path]
    metric: str
    value: float
    compared: int
    warnings: Sequence[str]
    words: Sequence[str]

    def document(self) -> Mapping[str, Any]:
        return {
            "folders": [str(folder) for folder in self.folders],
            "metric": self.metric,
            "value": self.value,
            "compared": self.compared,
            "warnings": list(self.warnings),
            "arguments": list(self.words),
            "line": shell_line(self.words),
        }

    def lines(self) -> Iterator[str]:
        yield f"# {self.described}"
        yield from (f"# note: {text}" for text in self.warnings)
        yield shell_line(self.words)


def best(folder: str = ".", /, *filters: str, sort: str | None = None) -> Best:
    """Print the command of the best choice of a sweep, or of all runs.

        python -m exp best

    The best choice of a sweep has the best mean of sweep.metric over its seeds and folds. The first line is a comment
    with its jobs, and the second one the command, without the seeds and folds of the sweep. Of a folder with runs and
    sweeps below it, the best finished one is meant, by the metric that decides; all must be of the same dataset and
    target, and if the loss decides, of the same loss function.

    Args:
        folder: Folder of the sweep or search, or one with runs below it; by default the current folder.
        filters: Which runs to compare, as for ls: dataset=iris 'optimizer.lr<0.1'.
        sort: A metric to compare runs by, such as accuracy/test, instead of the one that decides.
    """
    place = Path(folder)
    if is_sweep(place) and not filters and sort is None:
        return _best_of_sweep(place)
    if is_run(place):
        check_is_sweep(place)
    return _best_of_runs(place, list_runs(place, filters, sort or "auto"), filters, sort)


def _best_of_sweep(sweep: Path) -> Best:
    found = find_best(sweep)
    words = [*found.config_dir, *found.overrides]
    return Best(str(found), found.jobs, found.metric, found.value, found.compared, found.warnings, words)


def _best_of_runs(folder: Path, listing: Listing, filters: Sequence[str], sort: str | None) -> Best:
    metric = listing.metric
    done = [
        one for one in listing.lines if metric in one.metrics and (one.status == "finished" or one.jobs is not None)
    ]
    if metric is None or not done:
        check_is_sweep(folder)
        raise ConfigError(f"{folder}: no run below it finished", shell_line(["ls", str(folder)]))
    other = find_other_meaning(done, metric)
    if other is not None:
        fixed = set(map(override_key, other.fix))
        line = ["best", str(folder), *other.fix, *(word for word in filters if override_key(word) not in fixed)]
        raise ConfigError(str(other), shell_line([*line, *(["--sort", sort] if sort and "--sort" not in line else [])]))
    lead = done[0]
    extreme = "highest" if is_higher_better(metric.rpartition("/")[0]) else "lowest"
    value = lead.metrics[metric]
    order = f", the {extreme} of {len(done):,} runs and sweeps" if len(done) > 1 else ""
    described = f"{lead.folder}: {metric} {format_metric(metric, value)}{order}"
    warnings = [*listing.unreadable, *comparison_warnings(done, metric)]
    if lead.kind == "sweep":
        found = _best_of_sweep(Path(lead.folder))
        return Best(described, found.folders, metric, value, len(done), [*warnings, *found.warnings], found.words)
    words = [word for word in read_command(Path(lead.folder)) if override_key(word) not in ("name", "notes")]
    return Best(printable(described), [Path(lead.folder)], metric, value, len(done), warnings, words)


if __name__ == "__main__":
    run_command(best, sys.argv[1:])
