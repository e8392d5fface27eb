"""Jobs that differ only in their seed are one result: its mean, its standard deviation and its count."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from exp.results.run_folder import SEEDS_TABLE
from exp.results.sweep_csv import OWN, SPLITS, Row, write_rows


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write `folder`/seeds.csv, if a seed varies between the jobs `rows`."""
    if means := mean_rows(rows):
        write_rows(folder / SEEDS_TABLE, means)


def is_metric(column: str) -> bool:
    """Whether a column of sweep.csv is a metric: loss/val, accuracy/test."""
    return column.endswith(tuple(f"/{split}" for split in SPLITS))


def metric_columns(rows: Iterable[Row]) -> list[str]:
    """Return the metric columns that any of the rows has."""
    return list(dict.fromkeys(name for row in rows for name in row if is_metric(name)))


def varied_columns(rows: Iterable[Row]) -> list[str]:
    """Return the columns of choices in which the jobs differ, in the order of the command line."""
    rows = list(rows)
    own = (*OWN, "figures")
    columns = dict.fromkeys(column for row in rows for column in row if column not in own and not is_metric(column))
    return [column for column in columns if len({str(row.get(column, "")) for row in rows}) > 1]


def group_by_choice(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Return the jobs by their choices without the seed."""
    names = [name for name in varied_columns(rows) if name != "seed"]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name, "")) for name in names), []).append(row)
    return groups


def finished_by_name(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the folders of finished jobs by the choices of their group: 'batching=full, lr=0.1'."""
    names = [name for name in varied_columns(rows) if name != "seed"]
    short = [name.rpartition(".")[2] for name in names]
    labels = [last if short.count(last) == 1 else name for name, last in zip(names, short, strict=True)]
    groups = {
        ", ".join(f"{name}={value}" for name, value in zip(labels, choices, strict=True)) or "all": [
            str(member["job"]) for member in members if member["status"] == "finished"
        ]
        for choices, members in group_by_choice(rows).items()
    }
    return {name: jobs for name, jobs in groups.items() if jobs}


def mean_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each group: its choices, and mean and sample standard deviation of every metric.

    `n` is the number of finished jobs, which the statistics are over; `lost` is the number of the others. The list is
    empty if no seed varies. The deviation of a single job or of an infinite metric is an empty string.
    """
    names = varied_columns(rows)
    if "seed" not in names:
        return []
    names.remove("seed")
    table: list[Row] = []
    for choices, members in group_by_choice(rows).items():
        finished = [member for member in members if member["status"] == "finished"]
        counts = {"n": len(finished), "lost": len(members) - len(finished)}
        table.append({**dict(zip(names, choices, strict=True)), **counts, **_statistics(finished)})
    return table


def _statistics(members: Sequence[Mapping[str, object]]) -> Row:
    row: Row = {}
    for name in [column for column in (members[0] if members else ()) if is_metric(column)]:
        values = [float(str(member[name])) for member in members if name in member]
        row[name] = statistics.fmean(values)
        has_deviation = len(values) > 1 and all(map(math.isfinite, values))
        row[f"{name} std"] = statistics.stdev(values) if has_deviation else ""
    return row
