"""Files for what is too large for memory while a dataset is prepared. They are gone when the process ends."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from exp.data.mapped.cache import allocate, cache_errors
from exp.data.mapped.maps import as_bytes, map_array

# The steps in which rows are prepared, and the percentage of the time after each, about.
_STEPS = {"read": 30, "copy": 40, "order": 55, "fit": 70, "write": 100}


class Scratch:
    """Makes arrays in files of `folder`. The files have no name, so that nothing is left of them.

    Args:
        on_progress: Called with the percentage of the preparation that is done.
    """

    def __init__(self, folder: Path, on_progress: Callable[[int], None] = lambda _: None) -> None:
        self.folder, self._on_progress = folder, on_progress

    def report(self, step: str, done: int, total: int) -> None:
        """Report that `done` of `total` parts of a step, a key of _STEPS, are done."""
        place = [*_STEPS].index(step)
        start, end = [0, *_STEPS.values()][place : place + 2]
        self._on_progress(start + (end - start) * done // max(1, total))

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array in a file; its values are 0. DataError if the folder or the disk cannot hold it."""
        with cache_errors(self.folder):
            handle, name = tempfile.mkstemp(dir=self.folder, prefix="array-")
        try:
            allocate(handle, max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
            return map_array(Path(name), dtype, shape, writable=True)
        finally:
            os.close(handle)
            os.unlink(name)

    def columns(self, rows: int, count: int, dtype: DTypeLike) -> "ColumnFile":
        """Return a file of `count` columns with that many `rows`."""
        return ColumnFile(self.folder, rows, count, np.dtype(dtype))


class ColumnFile:
    """Columns of N numbers of one `dtype`, one after the other in a file. What is read is a copy in memory."""

    def __init__(self, folder: Path, rows: int, count: int, dtype: np.dtype[Any]) -> None:
        self.rows, self.count, self.dtype = rows, count, dtype
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # `close` closes it

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def write(self, column: int, values: NDArray[Any], start: int = 0) -> None:
        """Write values [B] of a column from the row `start` on."""
        content = as_bytes(np.ascontiguousarray(values, dtype=self.dtype))
        place = (column * self.rows + start) * self.dtype.itemsize
        while content:
            written = os.pwrite(self._file.fileno(), content, place)
            content, place = content[written:], place + written

    def read(self, column: int, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return the values of a column from the row `start` to the row before `stop`."""
        values = np.empty((self.rows if stop is None else stop) - start, dtype=self.dtype)
        content, place = as_bytes(values), (column * self.rows + start) * self.dtype.itemsize
        while content:
            count = os.preadv(self._file.fileno(), [content], place)
            if not count:
                raise OSError("the scratch file of the dataset is too short")
            content, place = content[count:], place + count
        return values

    def permute(self, column: int, order: Sequence[NDArray[np.int64]], slices: int = 2**21) -> None:
        """Write a column again with its rows in the `order` of the arrays of row numbers, one after the other."""
        values, start = self.read(column), 0
        for rows in order:
            for first in range(0, len(rows), slices):
                part = values[rows[first : first + slices]]
                self.write(column, part, start)
                start += len(part)

    def blocks(self, columns: Sequence[int], start: int, stop: int, values: int) -> Iterator[NDArray[np.float64]]:
        """Yield the rows [B, C] of some columns, in float64, from `start` to `stop`, some `values` at once."""
        size = max(1, values // max(1, len(columns)))
        for first in range(start, stop, size):
            last = min(first + size, stop)
            block = np.empty((last - first, len(columns)))
            for place, column in enumerate(columns):
                block[:, place] = self.read(column, first, last)
            yield block
