"""New rows of a table whose columns a run has learned: to predict, or to measure how well it does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column, Floats
from exp.data.columns.category import UNKNOWN, category_codes
from exp.data.columns.number import NumberColumn
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import Cells, Frame, pandas
from exp.errors import DataError, nearest, pluralize


def encode_rows(frame: Frame, preprocessing: Preprocessing, path: str) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """New rows [N, C] of columns that are known, NaN where a number is missing; which are whole; and notes.

    A row is whole unless it lacks a number that nothing stands for.

    DataError if a column is not there, or a cell is no number where the column is one of numbers.
    """
    names = [str(name) for name in frame.columns]
    made: list[Floats] = []
    for column in preprocessing.columns:
        if column.name not in names:
            near = nearest(column.name, names)
            cure = f"the name of the column {near} changed to it" if near else "the columns that the run was trained on"
            raise DataError(f"data={path}: it has no column {column.name}", cure)
        made.append(_coded(column, frame[column.name].reset_index(drop=True)))
    rows = np.stack(made, axis=1)
    notes = list(preprocessing.unknown(rows))
    whole = np.ones(len(rows), dtype=np.bool_)
    for column, values in zip(preprocessing.columns, rows.T, strict=True):
        gaps = column.is_missing(values)
        if gaps.any():
            if column.kind == "category":
                stands = "zeros stand for it"
            elif column.fill is not None:
                stands = f"{column.fill:g} stands for it"
            else:
                stands = "no prediction"
                whole &= ~gaps
            notes.append(f"{pluralize(int(gaps.sum()), 'row')} without {column.name}: {stands}")
    return rows, whole, notes


def not_finite(told: Mapping[str, NDArray[Any]]) -> list[str]:
    """A note on predictions that are no numbers, if there are: rows so far off that the model's sums overflow."""
    numbers = [values for values in told.values() if values.dtype.kind == "f"]
    count = int((~np.isfinite(np.stack(numbers)).all(axis=0)).sum()) if numbers else 0
    return (
        [f"{pluralize(count, 'row')} so far from those of training that the prediction is no number"] if count else []
    )


def encode_targets(
    frame: Frame, preprocessing: Preprocessing, path: str
) -> tuple[NDArray[Any], NDArray[np.bool_], list[str]]:
    """The target of new rows, class numbers int64 [N] or values float64 [N, 1]; which rows have one; and notes.

    DataError if the column is not there, or holds what the run has not learned to tell.
    """
    name, classes = preprocessing.target, preprocessing.classes
    if name not in map(str, frame.columns):
        near = nearest(name, [str(column) for column in frame.columns])
        raise DataError(
            f"data={path}: it has no column {name}, the target that the run learned",
            f"the name of the column {near} changed to it" if near else "a table with that column",
        )
    if preprocessing.values != 1:
        raise DataError(
            f"data={path}: the run learned {preprocessing.values} targets, and a table has one", "split=test"
        )
    cells = frame[name].reset_index(drop=True)
    there = cells.notna().to_numpy(dtype=np.bool_)
    notes = [f"{pluralize(int((~there).sum()), 'row')} without {name}: left out"] if not there.all() else []
    if classes is None:
        return NumberColumn(name).encode(cells).reshape(-1, 1), there, notes
    are_whole = all(word.lstrip("-").isdigit() for word in classes)
    if are_whole and pandas().api.types.is_float_dtype(cells) and (cells.dropna() % 1 == 0).all():
        cells = cells.astype("Int64")  # whole numbers with gaps among them: 1.0 is the class 1
    numbers = category_codes(cells, classes)
    if (unknown := cells[(numbers == UNKNOWN) & there]).any():
        raise DataError(
            f"data={path}: the target {name} holds '{unknown.iloc[0]}', and the run tells {', '.join(classes)} apart",
            "rows of these classes, under these names",
        )
    return numbers.astype(np.int64), there, notes


def _coded(column: Column, cells: Cells) -> Floats:
    """New cells of a column that is known: numbers, or places in its words, UNKNOWN for one that it does not have."""
    try:
        return column.encode(cells)
    except DataError as error:
        cure = f"{column.cell_type} in that column, as the run learned it; empty cells are missing"
        raise DataError(error.problem, cure) from error
