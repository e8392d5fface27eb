"""Parts of a table that the user chose: by a column, by several files, or by time."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import value_override
from exp.data.columns.column import Floats, show_cell
from exp.data.columns.parse_dates import parse_dates
from exp.data.columns.parse_numbers import parse_numbers
from exp.data.frame import Cells, Frame, import_pandas, name_row
from exp.errors import DataError

# Columns that are in one file only, if dataset.drop is advised for them.
_MOST_DROPPED = 10

# The words for the parts in a column, in lower case.
_WORDS = {
    **dict.fromkeys(("train", "training", "learn", "fit"), 0),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), 1),
    **dict.fromkeys(("test", "testing", "holdout", "eval", "evaluation"), 2),
}


def parts_of_cells(name: str, cells: Cells) -> NDArray[np.int8]:
    """Return the part of each row [N] that the cells of the column `name` say: 0 train, 1 val, 2 test.

    Where the column knows no validation rows, or no test rows, the training rows are -1: they are still to be divided.

    Raises:
        DataError: A cell says something else, or there are no training rows.
    """
    words = cells.astype(str).str.strip().str.lower()
    parts = words.map(_WORDS)
    if parts.isna().any():
        row = int(parts.isna().to_numpy().argmax())
        raise DataError(
            f"dataset.split_column={name}: {name_row(cells, row)} has {show_cell(cells.iloc[row])}, "
            "not train, val or test",
            "a column with these three words, or with train and test",
        )
    found = parts.to_numpy(dtype=np.int8)
    if not (found == 0).any():
        raise DataError(f"dataset.split_column={name}: no row is for training", "rows with the word train")
    if (found == 1).any():
        return found
    return np.where(found == 0, np.int8(-1), found)


def order_of_cells(
    name: str, cells: Cells, day_first: bool | None, decimal: str | None
) -> tuple[Floats, tuple[str, ...]]:
    """Return numbers [N] that sort rows as the cells of the column `name` do, and notes on how they were read.

    Raises:
        DataError: A cell is empty or a mark for it, or no number or date.
    """
    error = partial(DataError, fix="a column with a value in every row")
    if cells.isna().any():
        row = int(cells.isna().to_numpy().argmax())
        raise error(f"dataset.order={name}: {name_row(cells, row)} is empty")
    if import_pandas().api.types.is_numeric_dtype(cells):
        return cells.to_numpy(dtype=np.float64), ()
    parsed = parse_dates(name, cells, day_first) or parse_numbers(name, cells, decimal)
    if parsed is None:
        raise DataError(
            f"dataset.order={name}: its cells are neither numbers nor dates, such as {show_cell(cells.iloc[0])}",
            "a column of numbers or dates",
        )
    if np.isnan(parsed.values).any():
        row = int(np.isnan(parsed.values).argmax())
        raise error(f"dataset.order={name}: {name_row(cells, row)} has {show_cell(cells.iloc[row])}, which is no value")
    return parsed.values, parsed.notes


def find_mixed_columns(files: Mapping[str, Frame]) -> dict[str, list[str]]:
    """Return the columns with numbers or booleans in each file that another file has as text, by key of the file."""
    types = import_pandas().api.types
    numeric, text = dict[str, set[str]](), set[str]()
    for key, frame in files.items():
        columns = {str(name): frame[name].dropna().infer_objects() for name in frame.columns}
        numeric[key] = {name for name, cells in columns.items() if len(cells) and types.is_numeric_dtype(cells)}
        text |= {name for name, cells in columns.items() if len(cells) and types.is_string_dtype(cells)}
    return {key: sorted(names & text) for key, names in numeric.items() if names & text}


def join_files(
    files: dict[str, Frame], ignored: Sequence[str], targets: Collection[str]
) -> tuple[Frame, NDArray[np.int8], NDArray[np.int64]]:
    """Join the tables of several files: dataset.path first, then those of val_path and test_path.

    Args:
        files: The tables by key: path, val_path, test_path. The columns of the first one are used.
        ignored: Columns that need not be in the other files.
        targets: The target columns, for messages.

    Returns:
        All rows; the part of each, -1 for those of `path`; and the position of each in its file, counted from 1.

    Raises:
        DataError: A column of `path` is missing in another file.
    """
    first = files["path"]
    names = [name for name in first.columns if str(name) not in ignored]
    for key, frame in files.items():
        if absent := [str(name) for name in names if name not in frame.columns]:
            what = f"dataset.{key}: column '{absent[0]}' of dataset.path is missing in it"
            fix = "a file with the same columns"
            if len(absent) <= _MOST_DROPPED:
                fix += f", or {quote(f'dataset.drop={value_override([*ignored, *absent])}')}"
            if not_known := [name for name in absent if name in targets]:
                what = f"dataset.{key}: the target '{not_known[0]}' is missing in it"
                fix = (
                    f"a file with the target; or train without dataset.{key}, and then for predictions: "
                    "python -m exp predict run=FOLDER data=FILE out=predictions.csv"
                )
            raise DataError(what, fix)
    joined = import_pandas().concat(
        [frame.reindex(columns=first.columns) for frame in files.values()], ignore_index=True
    )
    part_of_key = {"path": -1, "val_path": 1, "test_path": 2}
    parts = np.concatenate([np.full(len(frame), part_of_key[key], dtype=np.int8) for key, frame in files.items()])
    return joined, parts, np.concatenate([np.arange(1, len(frame) + 1) for frame in files.values()])
