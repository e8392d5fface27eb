"""Encode new rows of a table with the columns of a trained run, to predict or to evaluate."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Floats, unfit_note
from exp.data.columns.category import UNKNOWN, category_codes
from exp.data.columns.number import NumberColumn
from exp.data.columns.number_cells import PLAIN
from exp.data.frame import Frame, import_pandas
from exp.data.preprocessing import Preprocessing
from exp.data.target import mask_marks, read_target
from exp.errors import DataError, nearest, pluralize


def encode_rows(frame: Frame, preprocessing: Preprocessing, path: str) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Encode new rows with the columns of `preprocessing`; other columns of `frame` are ignored.

    Args:
        path: The file, for messages.

    Returns:
        Values [N, C]; which rows [N] can be predicted (each missing number has a replacement); and notes for the user.

    Raises:
        DataError: A column is missing.
    """
    frame = frame.rename(columns=str)
    names = [str(name) for name in frame.columns]
    encoded: list[Floats] = []
    notes: list[str] = []
    for column in preprocessing.columns:
        if column.name not in names:
            near = nearest(column.name, names)
            fix = (
                f"rename column '{near}' to '{column.name}'"
                if near
                else "a table with the columns of the training table"
            )
            raise DataError(f"data={path}: column '{column.name}' is missing", fix)
        cells = frame[column.name].reset_index(drop=True)
        values, is_unfit = column.encode(cells)
        encoded.append(values)
        if is_unfit.any():
            notes.append(unfit_note(column, cells, is_unfit))
    rows = np.stack(encoded, axis=1)
    notes += preprocessing.unknown_notes(rows)
    is_complete = np.ones(len(rows), dtype=np.bool_)
    for column, values in zip(preprocessing.columns, rows.T, strict=True):
        is_missing = column.is_missing(values)
        if is_missing.any():
            replacement = column.replacement
            is_complete &= ~is_missing if replacement is None else True
            count = pluralize(int(is_missing.sum()), "row")
            notes.append(f"{count} without {column.name}: {replacement or 'no prediction'}")
    return rows, is_complete, notes


def nonfinite_notes(predictions: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return a note if predictions are NaN or infinite: for rows far from the training rows the model may overflow."""
    numbers = [values for values in predictions.values() if values.dtype.kind == "f"]
    count = int((~np.isfinite(np.stack(numbers)).all(axis=0)).sum()) if numbers else 0
    return (
        [f"{pluralize(count, 'row')} with a NaN or infinite prediction: too far from the training rows"]
        if count
        else []
    )


def encode_targets(
    frame: Frame, preprocessing: Preprocessing, path: str
) -> tuple[NDArray[Any], NDArray[np.bool_], list[str]]:
    """Encode the targets of new rows.

    Returns:
        Class indices int64 [N] or values float64 [N, 1], which rows [N] have a target, and notes for the user.

    Raises:
        DataError: The target column is missing, or holds a class that the run was not trained on.
    """
    name, classes = preprocessing.target, preprocessing.classes
    frame = frame.rename(columns=str)
    if name not in map(str, frame.columns):
        near = nearest(name, [str(column) for column in frame.columns])
        raise DataError(
            f"data={path}: the target column '{name}' is missing",
            f"rename column '{near}' to '{name}'" if near else "a table with this column",
        )
    if preprocessing.values != 1:
        raise DataError(
            f"data={path}: the run has {preprocessing.values} targets, but a table has only one", "split=test"
        )
    cells = frame[name].reset_index(drop=True)
    notes = list[str]()
    if classes is not None:
        cells = mask_marks(cells, classes)
    elif preprocessing.target_notation == PLAIN:  # new rows may write their numbers in another way
        cells = read_target(name, cells, "regression").cells
    else:
        column = NumberColumn(name, notation=preprocessing.target_notation)
        values, is_unfit = column.encode(cells)
        if is_unfit.any():
            notes.append(unfit_note(column, cells, is_unfit))
        cells = cells if is_unfit.any() and np.isnan(values).all() else import_pandas().Series(values)
    is_present = cells.notna().to_numpy(dtype=np.bool_)
    notes += [f"{pluralize(int((~is_present).sum()), 'row')} without {name}: skipped"] if not is_present.all() else []
    if classes is None:
        if not import_pandas().api.types.is_numeric_dtype(cells):
            raise DataError(f"data={path}: the target '{name}' is not numeric", "a column of numbers, as in training")
        return cells.to_numpy(dtype=np.float64).reshape(-1, 1), is_present, notes
    indices = category_codes(cells, classes, by_value=True)
    unknown = cells[(indices == UNKNOWN) & is_present]
    if len(unknown):
        raise DataError(
            f"data={path}: unknown class '{unknown.iloc[0]}' in the target '{name}' (trained on: {', '.join(classes)})",
            "rows of these classes only",
        )
    return indices.astype(np.int64), is_present, notes
