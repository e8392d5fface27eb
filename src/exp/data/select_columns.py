"""Which columns of a table a model can learn from. The others are left out, each with the reason."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import column_override
from exp.data.columns.column import Column, Floats
from exp.data.frame import Cells
from exp.errors import pluralize

# A text column with more distinct values than this, and than half its rows, identifies the rows.
_MAX_DISTINCT = 50

# From this number of rows on, text that differs in every row identifies the rows.
_MIN_ROWS_TO_IDENTIFY = 20

# Names that people and programs give to row numbers and identifiers.
_IDENTIFIER = re.compile(
    r"|x|nr|no\.?|n|key|index|idx|unnamed.*|row ?(names?|numbers?|nos?|nums?|ids?)?|(.*\W)?(u?u?ids?|identifiers?)"
    r"|(case|obs|observation|sample|record|subject)( ?(numbers?|nos?|nums?))?"
)

# Largest deviation of a column from a + b * target, as a fraction of its standard deviation, at which it is the target.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class LeftOut:
    """A column that is not used, and why; `may_be_used`: whether declaring its `kind` uses it."""

    name: str
    reason: str
    may_be_used: bool
    kind: str = "category"

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"

    @property
    def override(self) -> str:
        return column_override("dataset.kinds", self.name, self.kind)

    @property
    def note(self) -> str:
        return f"left out column {self}{f'; to use it: {self.override}' if self.may_be_used else ''}"


def find_useless(cells: Cells) -> str | None:
    """Return why cells cannot tell anything, whatever they hold; None if they can."""
    present = cells.dropna()
    if not len(present):
        return "it is empty"
    if len(present) == len(cells) and present.nunique() == 1:
        return f"it is {str(present.iloc[0])!r} in every row"
    return None


def find_identifier(column: Column, values: Floats, is_first: bool) -> str | None:
    """Return why a column only names the rows; None if it does not.

    Args:
        values: Its values [N].
        is_first: Whether it is the first column of the table.
    """
    if column.kind == "category":
        count, distinct = int((~column.is_missing(values)).sum()), len(np.unique(values[~column.is_missing(values)]))
        if distinct > max(_MAX_DISTINCT, count / 2) or (distinct == count >= _MIN_ROWS_TO_IDENTIFY):
            return f"{pluralize(distinct, 'distinct value')} in {count:,} rows identify the rows"
    if column.kind == "number" and _numbers_rows(column.name, values, is_first):
        return "it numbers the rows"
    return None


def _numbers_rows(name: str, values: Floats, is_first: bool) -> bool:
    """Return whether numbers count the rows, or differ in every row and have an identifier's name."""
    if len(values) < 3 or not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return False
    plain = re.sub(r"[_.\- ]+", " ", re.sub(r"(?<=[a-z])(?=I[Dd]$)", " ", name)).strip().lower()
    has_identifier_name = _IDENTIFIER.fullmatch(plain) is not None
    counts_rows = values[0] in (0, 1) and bool((np.diff(values) == 1).all())
    return (counts_rows and (is_first or has_identifier_name)) or (
        has_identifier_name and len(np.unique(values)) == len(values)
    )


def find_target_copies(columns: Collection[Column], x: Floats, y: NDArray[Any]) -> dict[str, int]:
    """Return which columns are a target in other words: classes renamed, or numbers in another unit.

    Args:
        y: Targets [N] or [N, K].

    Returns:
        The number of the target, from 0, by the name of the column.
    """
    is_same = _is_same_number if y.dtype.kind == "f" else _is_same_class
    targets = y.reshape(len(y), -1).T
    return {
        column.name: number
        for column, values in zip(columns, x.T, strict=True)
        for number, target in reversed([*enumerate(targets)])
        if is_same(values, target)
    }


def _is_same_class(values: Floats, classes: NDArray[Any]) -> bool:
    distinct = np.unique(values[~np.isnan(values)])
    if np.isnan(values).any() or len(distinct) != len(np.unique(classes)):
        return False
    return len(np.unique(np.stack([values, classes], axis=1), axis=0)) == len(distinct)


def _is_same_number(values: Floats, target: Floats) -> bool:
    """Return whether the values are a + b * target, up to rounding."""
    if np.isnan(values).any() or len(np.unique(values)) < 3 or len(np.unique(target)) < 3:
        return False
    centered, other = values - values.mean(), target - target.mean()
    with np.errstate(all="ignore"):
        slope = (centered * other).sum() / (other * other).sum()
        error = np.abs(centered - slope * other).max() / centered.std()
    return bool(error < _ROUNDING)
