"""Which columns of a table a model can learn from. The others are left out, each with the reason."""

import re
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column, Floats
from exp.data.read_table import Cells, Frame, import_pandas
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


def select_columns(frame: Frame, keep: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the names of the columns that can be used, and the reasons why others cannot: "id: it numbers the rows".

    Args:
        frame: The features, with row numbers as its index.
        keep: Columns that the user declared a kind for: they are used in any case, unless all their cells are empty.
    """
    names, reasons = list[str](), list[str]()
    for name in map(str, frame.columns):
        cells = frame[name]
        reason = _find_fault(name, cells, is_first=name == str(frame.columns[0]))
        if reason is not None and (name not in keep or not cells.notna().any()):
            reasons.append(f"{name}: {reason}")
        else:
            names.append(name)
    return names, reasons


def _find_fault(name: str, cells: Cells, is_first: bool) -> str | None:
    """Return why nothing can be learned from the column; None if something can."""
    present = cells.dropna()
    count, distinct = len(present), present.nunique()
    if not count:
        return "it is empty"
    if distinct == 1 and count == len(cells):
        return f"it is {str(present.iloc[0])!r} in every row"
    types = import_pandas().api.types
    if types.is_bool_dtype(cells):
        return None
    if types.is_numeric_dtype(cells):
        return "it numbers the rows" if _numbers_rows(name, cells, is_first) else None
    if types.is_datetime64_any_dtype(cells):
        return None
    is_name = distinct > max(_MAX_DISTINCT, count / 2) or (distinct == count >= _MIN_ROWS_TO_IDENTIFY)
    return f"{pluralize(distinct, 'distinct value')} in {count:,} rows identify the rows" if is_name else None


def _numbers_rows(name: str, cells: Cells, is_first: bool) -> bool:
    """Return whether numbers count the rows, or differ in every row and have an identifier's name."""
    if cells.isna().any() or len(cells) < 3:
        return False
    values = cells.to_numpy(dtype=np.float64)
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return False
    plain = re.sub(r"[_.\- ]+", " ", re.sub(r"(?<=[a-z])(?=I[Dd]$)", " ", name)).strip().lower()
    has_identifier_name = _IDENTIFIER.fullmatch(plain) is not None
    counts_rows = values[0] in (0, 1) and bool((np.diff(values) == 1).all())
    return (counts_rows and (is_first or has_identifier_name)) or (has_identifier_name and cells.is_unique)


def find_target_copies(columns: Collection[Column], x: Floats, y: NDArray[Any]) -> list[str]:
    """Return the names of columns that are the target in other words: classes renamed, or numbers in another unit."""
    flat = y.reshape(len(y))
    return [
        column.name
        for column, values in zip(columns, x.T, strict=True)
        if (_is_same_number(values, flat) if y.dtype.kind == "f" else _is_same_class(values, flat))
    ]


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
