"""Where the metrics of two runs differ."""

import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from exp.results.metrics_csv import Row, read_rows

# How the description of runs begins that differ by rounding alone.
ROUNDED = "equal up to rounding"

# Metrics of equal runs, one of which is compiled, are at most so far apart in units of their value.
_ROUNDING = 1e-4


def compare_metrics(run: Path, other: Path, may_round: bool) -> Iterator[str]:
    """Yield the first row of metrics.csv that differs. Test rows are compared last: they are at the end of a run.

    Args:
        may_round: Whether the runs are equal but for an engine that rounds differently.
    """
    gap = _largest_gap(run, other) if may_round else math.inf
    if 0 < gap <= _ROUNDING:
        yield f"{ROUNDED}, as engine=compiled allows: at most {gap:.1e} of a value apart"
        return
    for last in (False, True):
        pairs = ((row for row in read_rows(folder) if (row.split == "test") == last) for folder in (run, other))
        found = list(_compare_rows(run, other, *pairs))
        yield from found
        if found:
            return


def _largest_gap(run: Path, other: Path) -> float:
    """Return the largest difference of a metric in units of the larger value; infinite if the rows do not match."""
    gap = 0.0
    for mine, theirs in zip_longest(read_rows(run), read_rows(other)):
        if mine is None or theirs is None or (mine.step, mine.split) != (theirs.step, theirs.split):
            return math.inf
        if mine.metrics.keys() != theirs.metrics.keys():
            return math.inf
        for name, a in mine.metrics.items():
            b = theirs.metrics[name]
            if _differ(a, b):
                gap = max(gap, abs(a - b) / max(abs(a), abs(b))) if math.isfinite(a - b) else math.inf
    return gap


def _compare_rows(run: Path, other: Path, rows: Iterator[Row], others: Iterator[Row]) -> Iterator[str]:
    for mine, theirs in zip_longest(rows, others):
        if mine is None or theirs is None:
            longer = other if mine is None else run
            yield f"identical until the shorter run ends; {longer} continues"
            return
        at, their_at = f"{mine.split} row at step {mine.step}", f"{theirs.split} row at step {theirs.step}"
        if at != their_at:
            yield f"{run} has a {at} where {other} has a {their_at}"
            return
        names = {**mine.metrics, **theirs.metrics}
        pairs = ((name, mine.metrics.get(name), theirs.metrics.get(name)) for name in names)
        if changes := [f"{name} {a!r} | {b!r}" for name, a, b in pairs if _differ(a, b)]:
            yield f"first at step {mine.step}, {mine.split}: {', '.join(changes)}"
            return


def _differ(a: float | None, b: float | None) -> bool:
    """Return whether two values differ. NaN is what both have if both have it."""
    return a != b and not (a is not None and b is not None and math.isnan(a) and math.isnan(b))
