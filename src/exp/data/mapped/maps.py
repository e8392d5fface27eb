"""Arrays in files, mapped into memory: the system reads their pages from the file as they are used."""

import mmap
import os
import sys
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from exp.data.memory import available_memory

# Linux: private pages do not count as promised memory, so a file may be larger than memory.
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0

# Rows to take from a large file before its pages are released. A row can bring 2 MiB of the file into memory.
_ROWS_TO_TAKE = 256

# Rows whose pages are requested before they are taken: a multiple of _ROWS_TO_TAKE.
_ROWS_TO_REQUEST = 4096

# Bytes of a file that may stay in memory: those of a smaller one are not released.
_MAY_STAY = 2**28

_maps: dict[int, "weakref.ref[mmap.mmap]"] = {}  # by the address of the first byte


def map_array(
    path: Path, dtype: DTypeLike, shape: Sequence[int], offset: int = 0, *, writable: bool = False
) -> NDArray[Any]:
    """Return the array of that `dtype` and `shape` in a file, from the byte `offset` on.

    Args:
        writable: Write changes to the file. Otherwise they stay in this process, until `release_pages` drops them.
    """
    kind = mmap.MAP_SHARED if writable else mmap.MAP_PRIVATE | _NO_RESERVE
    handle = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    try:
        try:
            mapped = mmap.mmap(handle, 0, flags=kind, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError:  # `ulimit -d` counts private pages that may be written
            mapped = mmap.mmap(handle, 0, flags=kind, prot=mmap.PROT_READ)
    finally:
        os.close(handle)
    count = int(np.prod(shape))
    array = np.frombuffer(mapped, dtype, count, offset).reshape(shape)
    _maps[_address(mapped)] = weakref.ref(mapped)
    return array


def release_pages(rows: Tensor | NDArray[Any]) -> None:
    """Let go of the pages of a large mapped file that `rows` is a part of. Nothing happens to other rows.

    The next use reads them again, as a rule from the system's cache.
    """
    mapped = _find_large(rows)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def is_mapped(rows: Tensor | NDArray[Any]) -> bool:
    """Return whether `rows` are in a mapped file."""
    return _find(rows) is not None


def is_large(rows: Tensor) -> bool:
    """Return whether `rows` are in a mapped file that not all of may stay in memory."""
    return _find_large(rows) is not None


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """Return a copy of the `rows` [B] of x [N, ...]."""
    mapped = _find_large(x)
    if mapped is None:
        return x.index_select(0, rows)
    taken = x.new_empty(len(rows), *x.shape[1:])
    is_beyond_memory = _is_beyond_memory(mapped)
    with _access(mapped, mmap.MADV_RANDOM if is_beyond_memory else mmap.MADV_NORMAL):
        for start in range(0, len(rows), _ROWS_TO_TAKE):
            if is_beyond_memory and start % _ROWS_TO_REQUEST == 0:
                _request_pages(mapped, x, rows[start : start + _ROWS_TO_REQUEST])
            part = slice(start, start + _ROWS_TO_TAKE)
            torch.index_select(x, 0, rows[part], out=taken[part])
            mapped.madvise(mmap.MADV_DONTNEED)
    return taken


def _request_pages(mapped: mmap.mmap, x: Tensor, rows: Tensor) -> None:
    """Make the system read the pages of these `rows` at the same time: one after the other takes four times as long."""
    if not x.is_contiguous():
        return
    size = x[0].numel() * x.element_size()
    start = x.data_ptr() - _address(mapped)
    for row in cast("list[int]", rows.tolist()):
        first = start + row * size
        page = first // mmap.PAGESIZE * mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, page, first + size - page)


def iterate_parts(x: Tensor, size: int) -> Iterator[Tensor]:
    """Yield x [N, ...] in parts of `size` rows, one part of no rows if there are none. Pages are released after each.

    Use a part before the next one is taken.
    """
    with _access(_find_large(x), mmap.MADV_SEQUENTIAL):
        for start in range(0, max(1, x.size(0)), size):
            yield x[start : start + size]
            release_pages(x)


def iterate_blocks(x: NDArray[Any], values: int = 2**22) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield x [N, ...] in blocks of about that many `values`, each with the number of its first row."""
    size = max(1, values // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), size):
        yield start, x[start : start + size]
        release_pages(x)


def as_bytes(array: NDArray[Any]) -> memoryview:
    """Return the content of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


@contextmanager
def _access(mapped: mmap.mmap | None, advice: int) -> Generator[None]:
    """Tell the system how the file is read: it reads megabytes ahead of a page, unless the order is random."""
    if mapped is not None:
        mapped.madvise(advice)
    try:
        yield
    finally:
        if mapped is not None:
            mapped.madvise(mmap.MADV_NORMAL)


def _is_beyond_memory(mapped: mmap.mmap) -> bool:
    """Return whether the system cannot keep all of the file in its cache, in half of the memory: there are others."""
    available = available_memory()
    return available is None or len(mapped) > available / 2


def _address(mapped: mmap.mmap) -> int:
    """Return the address of the first byte."""
    return np.frombuffer(mapped, np.uint8, 1).ctypes.data


def _find_large(rows: Tensor | NDArray[Any]) -> mmap.mmap | None:
    """Return the map that holds `rows` if not all of it may stay in memory."""
    mapped = _find(rows)
    return mapped if mapped is not None and len(mapped) > _MAY_STAY else None


def _find(rows: Tensor | NDArray[Any]) -> mmap.mmap | None:
    """Return the map that holds `rows`; None if they are in ordinary memory."""
    address = rows.data_ptr() if isinstance(rows, Tensor) else rows.ctypes.data
    for start, reference in [*_maps.items()]:
        mapped = reference()
        if mapped is None:
            del _maps[start]
        elif start <= address < start + len(mapped):
            return mapped
    return None
