"""The types of a table in memory, the labels of its rows, and pandas, which is imported only when a table is read."""

import importlib
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# DataFrame and Series: pandas has no complete types, so pyright would report every use.
Frame: TypeAlias = Any
Cells: TypeAlias = Any

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame  # what callers get; they use it as they like
else:
    DataFrame = Any


class FrameLike(Protocol):
    """A DataFrame as an argument."""

    @property
    def columns(self) -> Any: ...

    @property
    def index(self) -> Any: ...

    def __len__(self) -> int: ...


def import_pandas() -> Any:
    """Import pandas lazily: it takes half a second."""
    return importlib.import_module("pandas")


# The label of a row of a table is its position in the file, counted from 0. Where several files were joined, the number
# of the file, counted from 1, is in the bits above.
_FILE_SHIFT = 48
_FILES = ("path", "val_path", "test_path")


def label_rows(row_numbers: NDArray[np.int64], parts: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return labels [N] for the rows of joined files.

    Args:
        row_numbers: The position of each row in its file, counted from 1.
        parts: The part of each row: -1 for the rows of dataset.path, 1 for those of val_path, 2 for those of test_path.
    """
    files = np.maximum(parts.astype(np.int64), 0) + 1
    return row_numbers - 1 + (files << _FILE_SHIFT)


def name_file(part: int) -> str:
    """Return the key of the file whose rows have this part: dataset.path for -1, val_path for 1, test_path for 2."""
    return f"dataset.{_FILES[max(part, 0)]}"


def name_row(cells: Cells, place: int) -> str:
    """Return the row of the cell at `place` for messages: "row 3", or "row 3 of dataset.test_path"."""
    label = int(cells.index[place])
    file = label >> _FILE_SHIFT
    return f"row {label % (1 << _FILE_SHIFT) + 1}{f' of dataset.{_FILES[file - 1]}' if file else ''}"
