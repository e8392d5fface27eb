"""Jobs that differ in nothing but their seed are one result: its mean, how far the seeds scatter, and of how many."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from exp.results.sweep_csv import OWN, SPLITS, Row, write_rows

NAME = "seeds.csv"


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write `folder`/seeds.csv, if a seed varies between the jobs `rows`."""
    if means := seed_statistics(rows):
        write_rows(folder / NAME, means)


def is_metric(column: str) -> bool:
    """Whether the column of a sweep's table is one of figures that came out: loss/val, accuracy/test."""
    return column.endswith(tuple(f"/{split}" for split in SPLITS))


def metric_columns(rows: Iterable[Row]) -> list[str]:
    """The columns of figures that came out of any of the jobs."""
    return list(dict.fromkeys(name for row in rows for name in row if is_metric(name)))


def varied_columns(rows: Iterable[Row]) -> list[str]:
    """The choices in which the jobs differ, in the order they were typed."""
    rows = list(rows)
    own = (*OWN, "figures")
    columns = dict.fromkeys(column for row in rows for column in row if column not in own and not is_metric(column))
    return [column for column in columns if len({str(row.get(column, "")) for row in rows}) > 1]


def group_by_seed(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """The jobs by their choices, seed aside; every job is its own group where no seed varies."""
    names = [name for name in varied_columns(rows) if name != "seed"]
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(str(row.get(name, "")) for name in names), []).append(row)
    return found


def finished_by_name(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The finished jobs' folders by what sets their group apart: 'batching=full, lr=0.1'."""
    names = [name for name in varied_columns(rows) if name != "seed"]
    short = [name.rpartition(".")[2] for name in names]
    shown = [last if short.count(last) == 1 else name for name, last in zip(names, short, strict=True)]
    found = {
        ", ".join(f"{name}={value}" for name, value in zip(shown, choices, strict=True)) or "all": [
            str(member["job"]) for member in members if member["status"] == "finished"
        ]
        for choices, members in group_by_seed(rows).items()
    }
    return {name: jobs for name, jobs in found.items() if jobs}


def seed_statistics(rows: Sequence[Row]) -> list[Row]:
    """A row for each group: its choices, n, and of every metric the mean and the standard deviation of the sample.

    Over the n jobs that finished; `lost` is how many did not. None if no seed varies. The deviation of a single run is
    left empty, as that of an infinite metric: it tells nothing of how seeds scatter.
    """
    names = varied_columns(rows)
    if "seed" not in names:
        return []
    names.remove("seed")
    told: list[Row] = []
    for choices, members in group_by_seed(rows).items():
        finished = [member for member in members if member["status"] == "finished"]
        counts = {"n": len(finished), "lost": len(members) - len(finished)}
        told.append({**dict(zip(names, choices, strict=True)), **counts, **_statistics(finished)})
    return told


def _statistics(members: Sequence[Mapping[str, object]]) -> Row:
    told: Row = {}
    for name in [column for column in (members[0] if members else ()) if is_metric(column)]:
        values = [float(str(member[name])) for member in members if name in member]
        told[name] = statistics.fmean(values)
        scatter = len(values) > 1 and all(map(math.isfinite, values))
        told[f"{name} std"] = statistics.stdev(values) if scatter else ""
    return told
