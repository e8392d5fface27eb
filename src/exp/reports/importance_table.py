"""The importances of columns for people: in the terminal and in the report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from exp.config.metric_names import is_higher_better
from exp.errors import pluralize
from exp.results.formatting import format_interval, format_metric
from exp.results.importance_csv import ColumnImportance, Importances

# More columns are not in the report.
_MAX_COLUMNS = 30

_WIDTH = 240

# Between the chart's ends and its edges, so that circles are not cut.
_INSET = 5


@dataclass(frozen=True)
class Bar:
    """The interval of a column in pixels; `low` and `high` are None without an interval."""

    column: str
    mean: str
    interval: str
    at: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Section:
    """The section of the report, as templates/importance.html draws it."""

    rows: str
    head: str
    bars: Sequence[Bar]
    zero: float
    remark: str
    width: int = _WIDTH


def describe(importances: Importances) -> str:
    """Return what the numbers of `table` are."""
    rows, repeats = pluralize(importances.rows, "row"), len(importances.columns[0].of_repeats)
    return (
        f"{importances.split}, {rows}, {importances.parameters}: {_change(importances)} if the column is "
        f"permuted, mean of {pluralize(repeats, 'permutation')}"
    )


def table(importances: Importances, most: int) -> list[tuple[str, str, str]]:
    """Return the head and a row for each column, at most `most`: its name, its importance and the interval."""
    left = len(importances.columns) - most
    rows = [(one.column, *_cells(importances.metric, one)) for one in importances.columns[:most]]
    more = [(f"... and {pluralize(left, 'column')} with less", "", "")] if left > 0 else []
    return [("column", "importance", "95 % interval"), *rows, *more]


def section(importances: Importances) -> Section:
    """Return the section of the report."""
    shown = importances.columns[:_MAX_COLUMNS]
    ends = [end for one in shown for end in (one.low, one.mean, one.high) if math.isfinite(end)]
    low, high = min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)

    def place(value: float) -> float:
        return _INSET + (value - low) / ((high - low) or 1.0) * (_WIDTH - 2 * _INSET)

    bars = [
        Bar(
            one.column,
            *_cells(importances.metric, one),
            place(one.mean) if math.isfinite(one.mean) else place(0.0),
            *((place(one.low), place(one.high)) if math.isfinite(one.high - one.low) else (None, None)),
        )
        for one in shown
    ]
    left = len(importances.columns) - len(shown)
    remark = (
        f"The {_change(importances)} if the values of a column are shuffled among the {importances.rows:,} rows: mean "
        f"of {pluralize(len(shown[0].of_repeats), 'permutation')}, with the parameters of step {importances.step:,}. "
        "The intervals are 95 % confidence intervals over samples of rows and permutations, for each column by itself. "
        "A column without one changed nothing. "
        "Correlated columns share their importance: each can be near 0 although the model uses them."
    )
    more = f" importance.csv has {pluralize(left, 'more column')}." if left else ""
    return Section(f"{importances.split} split", _change(importances), bars, place(0.0), remark + more)


def _change(importances: Importances) -> str:
    """Return what a positive importance is: 'increase of the loss'."""
    direction = "decrease" if is_higher_better(importances.metric) else "increase"
    return (
        f"{direction} of the {importances.metric}"
        if importances.metric == "loss"
        else f"{direction} of {importances.metric}"
    )


def _cells(metric: str, one: ColumnImportance) -> tuple[str, str]:
    interval = None if math.isnan(one.high) else (one.low, one.high)
    return format_metric(metric, one.mean), format_interval(metric, interval)
