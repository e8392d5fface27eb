"""The target column of a table: classes, or numbers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats, unfit_note
from exp.data.columns.gap_marks import is_gap
from exp.data.columns.labels import as_labels
from exp.data.columns.number import NumberColumn, mask_infinite
from exp.data.columns.number_cells import PLAIN, Notation, declared_notation
from exp.data.columns.parse_booleans import parse_booleans
from exp.data.columns.parse_dates import parse_dates
from exp.data.columns.parse_numbers import parse_mostly_numbers
from exp.data.dataset import encode_classes
from exp.data.frame import Cells, import_pandas
from exp.errors import DataError

# A target of integers is one of classes if it has at most this many values, and two rows for each on average.
_MAX_CLASSES = 20

# A numeric target with a smaller range is refused.
_LEAST_RANGE = 1e-150

# A target of text with more distinct values than this, and than half its rows, is no target of classes.
_MAX_TEXT_CLASSES = 50


class Target(NamedTuple):
    """The cells of a target, notes for the user, and how its numbers are written."""

    cells: Cells
    notes: tuple[str, ...] = ()
    notation: Notation = PLAIN


def read_target(name: str, cells: Cells, task: str, decimal: str | None = ".") -> Target:
    """Return the cells as numbers where they are numbers, and as they are where they are words.

    Cells of a numeric target that are no finite number become empty, and so do marks such as ? among yes and no.

    Raises:
        DataError: All numbers are infinite or too large.
    """
    pd = import_pandas()
    types = pd.api.types
    if types.is_bool_dtype(cells.dropna().infer_objects()) or (task == "classes" and not types.is_numeric_dtype(cells)):
        return Target(cells)
    if types.is_datetime64_any_dtype(cells):
        return Target(cells)
    notation = declared_notation(decimal)
    if types.is_integer_dtype(cells):
        return Target(cells, notation=notation)
    if types.is_numeric_dtype(cells):
        values, notes = cells.to_numpy(dtype=np.float64, na_value=np.nan), list[str]()
    else:
        text = cells.astype(object)
        booleans = parse_booleans(name, text) if task != "regression" else None
        if booleans is not None:
            words = text.mask(np.isnan(booleans.values)) if booleans.notes else cells
            return Target(words, (*booleans.notes, *_case_notes(name, words)))
        for_words = "dataset.task=classes" if task == "auto" else ""
        parsed = parse_mostly_numbers(name, text, decimal, for_words, may_be_codes=task == "auto")
        if parsed is None:
            return Target(cells)
        numbers, is_odd = parsed
        values, notation = numbers.values, numbers.notation
        notes = [*numbers.notes]
        if is_odd.any():
            unfit = unfit_note(NumberColumn(name), text, is_odd)
            notes.append(f"{unfit}; for words: {for_words}" if for_words else unfit)
        if task == "auto" and _is_few_integers(values[~np.isnan(values)]):
            return Target(cells)  # classes as they are spelled, such as 3+
    values, infinite_notes = mask_infinite(f"target '{name}'", cells, values)
    if infinite_notes and np.isnan(values).all():
        raise DataError(f"{infinite_notes[0]}; no other row has a number", "the target in a larger unit")
    return Target(pd.Series(values, index=cells.index), (*notes, *infinite_notes), notation)


def mask_marks(cells: Cells, classes: Sequence[str]) -> Cells:
    """Return the targets of new rows with marks such as ? as empty cells, if the classes are words such as yes and no.

    Marks that are classes themselves stay.
    """
    if parse_booleans("", import_pandas().Series(classes, dtype=object)) is None:
        return cells
    words = cells.astype(str).str.strip()  # an empty cell stays one
    return cells.mask(words.isin([word for word in words.dropna().unique() if is_gap(word) and word not in classes]))


def _case_notes(name: str, cells: Cells) -> list[str]:
    """Return a note if a class is written in several ways, as yes and Yes: they are classes of their own."""
    words = sorted(map(str, cells.dropna().unique()))
    same = [word for word in words if sum(word.casefold() == other.casefold() for other in words) > 1]
    listed = ", ".join(map(repr, same))
    return [f"target '{name}': words that differ only in case are different classes: {listed}"] if same else []


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
        if values.max() - values.min() < _LEAST_RANGE:
            problem = f"target '{name}' varies by less than {_LEAST_RANGE:g}: its squared errors would all be 0"
            raise DataError(problem, "the target in another unit")
        return np.array(values).reshape(-1, 1), None  # a copy: pandas' own array is read-only
    if (values == np.round(values)).all():
        labels, codes = _encode(name, cells.to_numpy(np.int64 if types.is_signed_integer_dtype(cells) else np.float64))
        return codes, tuple(str(int(label)) for label in labels)
    return _encode_labels(name, cells)


def _is_few_integers(values: Floats) -> bool:
    """Return whether numbers are the labels of classes."""
    most = min(_MAX_CLASSES, max(2, len(values) // 2))
    return bool((values == np.round(values)).all()) and len(np.unique(values)) <= most


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
    return _encode_labels(name, cells)


def _encode_labels(name: str, cells: Cells) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    labels, codes = _encode(name, as_labels(cells).to_numpy(str))
    return codes, tuple(map(str, labels))


def _encode(name: str, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted labels, and the index [N] of each row's label. DataError if all labels are equal."""
    if (values == values[0]).all():
        raise DataError(f"target '{name}' is '{values[0]}' in every row", "another column as dataset.target")
    return encode_classes(values)
