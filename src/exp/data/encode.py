"""Encode new rows of a table with the columns of a trained run, to predict or to evaluate."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.nearest_names import nearest
from exp.data.columns.category import UNKNOWN, category_codes
from exp.data.columns.column import Column, Floats, show_cell
from exp.data.columns.number import NumberColumn
from exp.data.columns.number_cells import PLAIN
from exp.data.dataset import TargetColumn
from exp.data.far_values import far_notes
from exp.data.frame import Cells, Frame, import_pandas, name_row
from exp.data.merge_notes import merge_notes
from exp.data.preprocessing import Preprocessing
from exp.data.target import mask_marks, read_target
from exp.data.target_scale import check_positive
from exp.data.targets import as_numbers
from exp.errors import DataError, pluralize, shorten

# A column of at least so many cells, of which this share cannot be read, is refused.
FEWEST_CELLS, UNREADABLE_SHARE = 10, 0.9

# Columns that a message lists.
_MOST_ABSENT = 10


def encode_rows(frame: Frame, preprocessing: Preprocessing, path: str) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Encode new rows with the columns of `preprocessing`; other columns of `frame` are ignored.

    Args:
        path: The file, for messages.

    Returns:
        Values [N, C]; which rows [N] can be predicted (each missing number has a replacement); and notes for the user.

    Raises:
        DataError: A column is missing, or nearly all of its cells cannot be read.
    """
    frame = frame.rename(columns=str)
    encoded: list[Floats] = []
    notes: list[str] = []
    _refuse_absent([column.name for column in preprocessing.columns], [*frame.columns], path)
    for column in preprocessing.columns:
        cells = frame[column.name].reset_index(drop=True)
        values, is_unfit = column.encode(cells)
        encoded.append(values)
        if is_unfit.any():
            notes += column.unfit_notes(cells, is_unfit)
            _refuse_unreadable(column, cells, values, is_unfit, path)
        notes += column.notes_on(cells)
    rows = np.stack(encoded, axis=1)
    notes += far_notes(rows, preprocessing)
    notes += preprocessing.describe_unknown(preprocessing.count_unknown(rows))
    is_complete = np.ones(len(rows), dtype=np.bool_)
    for column, values in zip(preprocessing.columns, rows.T, strict=True):
        is_missing = column.is_missing(values)
        if is_missing.any():
            replacement = column.replacement
            is_complete &= ~is_missing if replacement is None else True
            count = pluralize(int(is_missing.sum()), "row")
            notes.append(f"{count} without {column.name}: {replacement or 'no prediction'}")
    return rows, is_complete, merge_notes(notes)


def _refuse_absent(wanted: Sequence[str], names: Sequence[str], path: str) -> None:
    """Raise DataError if a wanted column is not in the names of a table; only other columns may be renamed to it."""
    present, known = set(names), set(wanted)
    if not (absent := [name for name in wanted if name not in present]):
        return
    spare = [name for name in names if name not in known]
    renamed = list[str]()
    for name in absent[:_MOST_ABSENT]:
        if (near := _nearest_name(name, spare)) is not None:
            spare.remove(near)
            renamed.append(f"rename column '{near}' to '{name}'")
    listed = shorten([*map(repr, absent)], limit=_MOST_ABSENT)
    what = f"column {listed} is" if len(absent) == 1 else f"columns {listed} are"
    fix = ", and ".join(renamed)
    raise DataError(f"data={path}: {what} missing", fix or "a table with the columns of the training table")


def _nearest_name(name: str, names: Sequence[str]) -> str | None:
    """Return the name most like `name`; None for a place such as column_5, which no other column has."""
    return None if re.fullmatch(r"column_[0-9]+", name) else nearest(name, names)


def _refuse_unreadable(column: Column, cells: Cells, values: Floats, is_unfit: NDArray[np.bool_], path: str) -> None:
    """Raise DataError if nearly all cells of a column are not of its kind: its file is written in another way.

    They would count as empty, and every row would be predicted without the column.
    """
    if column.kind == "number":  # those beyond 1e+100 count as empty in training, too
        is_unfit = is_unfit & import_pandas().to_numeric(cells, errors="coerce").isna().to_numpy()
    wrong = int(is_unfit.sum())
    present = wrong + int((~np.isnan(values)).sum())
    if present >= FEWEST_CELLS and wrong >= UNREADABLE_SHARE * present:
        first = int(np.argmax(is_unfit))
        as_there = (
            f"such as {column.notation}, " if column.kind == "number" and isinstance(column, NumberColumn) else ""
        )
        raise DataError(
            f"data={path}: column '{column.name}': {wrong:,} of {present:,} cells are not {column.cell_type}, the "
            f"first in {name_row(cells, first)}: {show_cell(cells.iloc[first])}",
            f"cells {as_there}as in the training rows, or empty ones to predict without the column",
        )


def nonfinite_notes(predictions: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return a note if predictions are NaN or infinite: for rows far from the training rows the model may overflow."""
    numbers = [values for values in predictions.values() if values.dtype.kind == "f"]
    count = int((~np.isfinite(np.stack(numbers)).all(axis=0)).sum()) if numbers else 0
    return (
        [f"{pluralize(count, 'row')} with a NaN or infinite prediction: too far from the training rows"]
        if count
        else []
    )


def encode_new_targets(
    frame: Frame, preprocessing: Preprocessing, path: str
) -> tuple[NDArray[Any], NDArray[np.bool_], list[str]]:
    """Encode the targets of new rows.

    Returns:
        Class indices int64 [N], or values or labels float64 [N, K]; which rows [N] have all targets; and notes.

    Raises:
        DataError: A target column is missing, or holds a class that the run was not trained on.
    """
    frame, targets, classes = frame.rename(columns=str), preprocessing.target_columns, preprocessing.classes
    for target in targets:
        if target.name not in map(str, frame.columns):
            known = {column.name for column in (*preprocessing.columns, *targets)}
            near = _nearest_name(target.name, [str(column) for column in frame.columns if str(column) not in known])
            raise DataError(
                f"data={path}: the target column '{target.name}' is missing",
                f"rename column '{near}' to '{target.name}'" if near else "a table with this column",
            )
    if preprocessing.values != len(targets):
        raise DataError(
            f"data={path}: the run has {preprocessing.values} targets, but a table has only one", "split=test"
        )
    cells = {target.name: frame[target.name].reset_index(drop=True) for target in targets}
    if classes is not None:
        return _encode_classes(targets[0].name, cells[targets[0].name], classes, path)
    encoded = [_encode_numbers(target, cells[target.name], len(targets) > 1, path) for target in targets]
    values = np.stack([values for values, _ in encoded], axis=1)
    if preprocessing.has_labels:
        for target, of_target in zip(targets, values.T, strict=True):
            if not np.isin(of_target[~np.isnan(of_target)], (0, 1)).all():
                what = f"data={path}: the label '{target.name}' has other values than 0 and 1, or true and false"
                raise DataError(what, "a column of 0 and 1")
    if preprocessing.target_scale is not None and preprocessing.target_scale.log:
        check_positive(values, preprocessing.target, f"data={path}", "rows whose target is > 0")
    is_present = np.asarray(~np.isnan(values).any(axis=1), dtype=np.bool_)
    notes = [note for _, notes in encoded for note in notes]
    return values, is_present, [*notes, *_skipped_notes([target.name for target in targets], is_present)]


def _encode_numbers(target: TargetColumn, cells: Cells, is_one_of_several: bool, path: str) -> tuple[Floats, list[str]]:
    """Return the values [N] of one target, NaN for empty cells, and notes. DataError if it is not numeric."""
    notes, cells = list[str](), as_numbers(cells) if is_one_of_several else cells
    if target.notation == PLAIN:  # new rows may write their numbers in another way
        read = read_target(target.name, cells, "regression")
        if read.notation.has_unit:
            notes.append(
                f"column '{target.name}': numbers are written as {read.notation}, in the training rows plainly"
            )
        cells = read.cells
    else:
        column = NumberColumn(target.name, notation=target.notation)
        values, is_unfit = column.encode(cells)
        notes += column.notes_on(cells)
        notes += column.unfit_notes(cells, is_unfit)
        cells = cells if is_unfit.any() and np.isnan(values).all() else import_pandas().Series(values)
    if not import_pandas().api.types.is_numeric_dtype(cells):
        what = f"data={path}: the target '{target.name}' is not numeric"
        raise DataError(what, "a column of numbers, as in training")
    return cells.to_numpy(dtype=np.float64, na_value=np.nan), notes


def _encode_classes(
    name: str, cells: Cells, classes: Sequence[str], path: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[str]]:
    """Return class indices [N], which rows [N] have a class, and notes. DataError if a class is unknown."""
    cells = mask_marks(cells, classes)
    is_present = cells.notna().to_numpy(dtype=np.bool_)
    indices = category_codes(cells, classes, by_value=True)
    unknown = cells[(indices == UNKNOWN) & is_present]
    if len(unknown):
        raise DataError(
            f"data={path}: unknown class '{unknown.iloc[0]}' in the target '{name}' (trained on: {', '.join(classes)})",
            "rows of these classes only",
        )
    return indices.astype(np.int64), is_present, _skipped_notes([name], is_present)


def _skipped_notes(names: Sequence[str], is_present: NDArray[np.bool_]) -> list[str]:
    """Return a note on the rows without a target."""
    count = pluralize(int((~is_present).sum()), "row")
    return [] if is_present.all() else [f"{count} without {' or '.join(names)}: skipped"]
