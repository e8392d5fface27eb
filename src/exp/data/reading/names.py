"""The names of columns, and columns that have none."""

import re
from collections import Counter
from collections.abc import Sequence

from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import number_name, number_names
from exp.errors import DataError, pluralize


def name_columns(
    frame: Frame, names: Sequence[str], where: str, has_row_names: bool, keep_row_names: bool
) -> tuple[Frame, list[str]]:
    """Return the frame with its names, and notes; columns that only number or name the rows are left out.

    Args:
        frame: Columns named by their places.
        names: A stripped name for each place, "" for none.
        has_row_names: Whether the first column holds the row names.
        keep_row_names: Whether to keep a column of row names, as `column 1`.

    Raises:
        DataError: Two columns have the same name.
    """
    kept, notes = choose_names(frame, names, where, has_row_names, keep_row_names)
    frame = frame[[*kept]]
    frame.columns = import_pandas().Index([*kept.values()])
    return frame, notes


def choose_names(
    frame: Frame, names: Sequence[str], where: str, has_row_names: bool, keep_row_names: bool
) -> tuple[dict[int, str], list[str]]:
    """Return the names of the columns to keep by their places, and notes. `name_columns` describes the arguments."""
    check_unique(names, where)
    notes: list[str] = []
    kept: dict[int, str] = {}
    for place in map(int, frame.columns):
        name, cells = names[place], frame[place]
        own = name or _invent_name(place, names)
        is_end = own == number_name(place)  # a column of its own in new rows, whose last cells may be empty
        if (not name or is_index_name(name)) and not cells.notna().any() and not (is_end and keep_row_names):
            continue
        is_first = place == 0 and (has_row_names or (not name and cells.is_unique))
        is_index = is_index_name(name) and _is_count(cells)
        if not keep_row_names and len(names) > 1 and (is_first or is_index):
            what = "has no name and" if not name else f"'{name}'"
            does = "numbers" if _is_count(cells) else "names"
            notes.append(f"column {place + 1} {what} {does} the rows: left out; to keep it, give it a name")
            continue
        if not name and cells.notna().any():
            notes.append(f"column {place + 1} has no name: '{own}' here")
        kept[place] = own
    return kept, notes


def check_unique(names: Sequence[str], where: str) -> None:
    """Raise DataError if two columns have the same name."""
    if duplicates := sorted(name for name, count in Counter(names).items() if name and count > 1):
        raise DataError(f"{where}: duplicate column names: {', '.join(map(repr, duplicates))}", "unique column names")


def drop_repeated_names(frame: Frame, names: Sequence[str], keep_rows: bool = False) -> tuple[Frame, list[str]]:
    """Leave out the rows that repeat the names, as in files put together from several, and empty rows at the end.

    Args:
        keep_rows: Whether to leave out only empty rows at the end.
    """
    types = import_pandas().api.types
    notes: list[str] = []
    may_repeat = not keep_rows and len(names) > 1 and all(names)
    if may_repeat and not any(types.is_numeric_dtype(dtype) for dtype in frame.dtypes):
        repeated = frame[(frame.iloc[:, 1:] == list(names[1:])).all(axis=1)]
        first = repeated.iloc[:, 0].astype(str).str.lstrip("# ")  # the names may be in a comment
        repeated = repeated[first == names[0].lstrip("# ")]
        if count := len(repeated):
            frame = frame.drop(index=repeated.index).reset_index(drop=True)
            notes.append(f"{pluralize(count, 'row')} repeated the column names: left out")
    end = len(frame)
    while end and frame.iloc[end - 1].isna().all():
        end -= 1
    if end < len(frame):
        notes.append(f"{pluralize(len(frame) - end, 'row')} at the end had no cells: left out")
        frame = frame.iloc[:end]
    return frame, notes


def _invent_name(place: int, names: Sequence[str]) -> str:
    numbered = number_names(place + 1)
    name = numbered[-1] if place and [*names[:place]] == numbered[:-1] else f"column {place + 1}"
    while name in names:
        name += "'"
    return name


def is_index_name(name: str) -> bool:
    """Return whether pandas gave this name to a column without one."""
    return re.fullmatch(r"Unnamed: \d+(\.\d+)?|__index_level_\d+__", name) is not None


def _is_count(cells: Cells) -> bool:
    """Return whether the cells are 0, 1, 2, ... or 1, 2, 3, ..."""
    if not len(cells) or not import_pandas().api.types.is_integer_dtype(cells):
        return False
    values = cells.to_numpy()
    return bool(values[0] in (0, 1) and (values[1:] - values[:-1] == 1).all())
