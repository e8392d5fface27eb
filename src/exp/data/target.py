"""The target column of a table: classes, or numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Floats, unfit_note
from exp.data.columns.labels import as_labels
from exp.data.columns.number import NumberColumn
from exp.data.columns.parse_booleans import parse_booleans
from exp.data.columns.parse_dates import parse_dates
from exp.data.columns.parse_numbers import parse_mostly_numbers
from exp.data.dataset import encode_classes
from exp.data.frame import Cells, import_pandas
from exp.errors import DataError

# A target of integers is one of classes if it has at most this many values.
_MAX_CLASSES = 20

# A target of text with more distinct values than this, and than half its rows, is no target of classes.
_MAX_TEXT_CLASSES = 50


def read_target(name: str, cells: Cells, task: str, decimal: str | None = ".") -> tuple[Cells, list[str]]:
    """Return the cells as numbers where they are numbers, and as they are where they are words; and notes.

    Cells of a numeric target that are no finite number become empty.
    """
    pd = import_pandas()
    types = pd.api.types
    if types.is_bool_dtype(cells.dropna().infer_objects()) or (task == "classes" and not types.is_numeric_dtype(cells)):
        return cells, []
    if types.is_datetime64_any_dtype(cells):
        return cells, []
    if types.is_numeric_dtype(cells):
        values, notes = cells.to_numpy(dtype=np.float64, na_value=np.nan), list[str]()
    else:
        text = cells.astype(object)
        is_boolean = task != "regression" and parse_booleans(name, text) is not None
        parsed = None if is_boolean else parse_mostly_numbers(name, text, decimal)
        if parsed is None:
            return cells, []
        numbers, is_odd = parsed
        values = numbers.values
        notes = [*numbers.notes]
        if is_odd.any():
            notes.append(f"{unfit_note(NumberColumn(name), text, is_odd)}; for words: dataset.task=classes")
        if task == "auto" and _is_few_integers(values[~np.isnan(values)]):
            return cells, []  # classes as they are spelled, such as 3+
    is_infinite = np.isinf(values)
    if is_infinite.any():
        notes.append(f"target '{name}': {int(is_infinite.sum()):,} infinite values are read as empty")
        values = np.where(is_infinite, np.nan, values)
    return pd.Series(values, index=cells.index), notes


def encode_target(name: str, cells: Cells, task: str) -> tuple[Any, tuple[str, ...] | None]:
    """Return class numbers int64 [N] and the classes' names, or values float64 [N, 1] and None.

    Args:
        cells: What `read_target` returned, without empty cells.

    Raises:
        DataError: The target has one class only, or does not fit the task.
    """
    types = import_pandas().api.types
    if not types.is_numeric_dtype(cells) or types.is_bool_dtype(cells):
        return _encode_words(name, cells, task)
    values: Floats = cells.to_numpy(dtype=np.float64)
    if task == "regression" or (task == "auto" and not _is_few_integers(values)):
        if values.min() == values.max():
            raise DataError(f"target '{name}' is {values[0]:g} in every row", "another column as dataset.target")
        return np.array(values).reshape(-1, 1), None  # a copy: pandas' own array is read-only
    if (values == np.round(values)).all():
        labels, codes = encode_classes(values.astype(np.int64))
        return codes, tuple(map(str, labels))
    return _encode_labels(cells)


def _is_few_integers(values: Floats) -> bool:
    """Return whether numbers are the labels of classes."""
    return bool((values == np.round(values)).all()) and len(np.unique(values)) <= _MAX_CLASSES


def _encode_words(name: str, cells: Cells, task: str) -> tuple[Any, tuple[str, ...] | None]:
    if task != "classes" and parse_dates(name, cells) is not None:
        raise DataError(
            f"target '{name}' holds dates, such as {cells.iloc[0]}; they are neither classes nor numbers",
            "another column as dataset.target, or dataset.task=classes",
        )
    if task == "regression":
        raise DataError(f"dataset.task=regression: the target '{name}' is not numeric", "dataset.task=classes")
    if task == "auto" and cells.nunique() > max(_MAX_TEXT_CLASSES, len(cells) / 2):
        problem = (
            f"target '{name}' has {cells.nunique():,} distinct values in {len(cells):,} rows: too many for classes"
        )
        raise DataError(problem, "another column as dataset.target, or dataset.task=classes")
    return _encode_labels(cells)


def _encode_labels(cells: Cells) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    labels, codes = encode_classes(as_labels(cells).to_numpy(str))
    return codes, tuple(map(str, labels))
