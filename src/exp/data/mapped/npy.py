"""Arrays of .npy and .npz files, mapped into memory where they are stored as they are."""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from exp.data.mapped.maps import as_bytes, map_array
from exp.data.mapped.scratch import Scratch
from exp.errors import DataError

# The part of a zip file before a member: its length without the name and the extra field, and where their lengths are.
_LOCAL_HEADER, _LENGTHS = 30, 26

# The first bytes of a zip file.
_ARCHIVE = b"PK\x03\x04"

# Bytes of a compressed array that are read at a time.
_CHUNK = 2**24


def map_arrays(path: Path, scratch: Scratch) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name; that of an .npy file is x. Compressed ones are copied to `scratch`.

    Raises:
        ValueError, OSError, EOFError, KeyError: The file does not hold arrays of numbers.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, file, info in _open_arrays(path):
        shape, is_fortran, dtype = _read_header(file)
        if info is not None and info.compress_type != zipfile.ZIP_STORED:
            arrays[name] = _copy(file, dtype, shape, is_fortran, scratch)
        else:
            start = file.tell() + (0 if info is None else _find_content(path, info))
            arrays[name] = _map(path, dtype, shape, start, is_fortran)
    return arrays


def check_whole(path: Path, where: str) -> None:
    """Raise DataError if a file of arrays is empty, or ends before its last array does; `where` is KEY=PATH."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        return
    reason = "" if size else "the file is empty"
    with path.open("rb") as file:
        if file.read(len(_ARCHIVE)) == _ARCHIVE:
            reason = f"the file is cut short after {size:,} bytes: the list of its arrays is missing"
        file.seek(0)
        if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
            file.seek(0)
            try:
                shape, _, dtype = _read_header(file)
            except ValueError as error:
                reason = f"the file is cut short after {size:,} bytes" if str(error).startswith("EOF") else ""
            else:
                whole = file.tell() + int(np.prod(shape)) * dtype.itemsize
                reason = f"the file is cut short: it has {size:,} of {whole:,} bytes" if size < whole else ""
    if reason:
        raise DataError(f"{where}: {reason}", "a file that is whole")


def read_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shape and the type of each array in an .npy file, which is x, or an .npz file.

    Raises:
        ValueError, OSError, EOFError, KeyError: The file does not hold arrays of numbers.
    """
    headers = {name: _read_header(file) for name, file, _ in _open_arrays(path)}
    return {name: (shape, dtype) for name, (shape, _, dtype) in headers.items()}


def _open_arrays(path: Path) -> Iterator[tuple[str, IO[bytes], zipfile.ZipInfo | None]]:
    """Yield the name of each array, the file at its beginning, and its entry in an .npz file."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield "x", file, None
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                if not info.filename.endswith(".npy"):
                    raise ValueError(f"{info.filename} is not an array")
                yield info.filename.removesuffix(".npy"), member, info


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("object arrays cannot be loaded")
    return shape, is_fortran, dtype


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, is_fortran: bool) -> NDArray[Any]:
    if not np.prod(shape):
        return np.zeros(shape, dtype)
    return map_array(path, dtype, shape[::-1], offset).T if is_fortran else map_array(path, dtype, shape, offset)


def _copy(
    member: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], is_fortran: bool, scratch: Scratch
) -> NDArray[Any]:
    array = scratch.empty(shape[::-1] if is_fortran else shape, dtype)
    content, done = as_bytes(array), 0
    while done < len(content):
        chunk = member.read(min(_CHUNK, len(content) - done))
        if not chunk:
            raise EOFError("the array is shorter than its header says")
        content[done : done + len(chunk)] = chunk
        done += len(chunk)
    return array.T if is_fortran else array


def _find_content(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where the content of a member begins in the file."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack_from("<HH", file.read(_LOCAL_HEADER), _LENGTHS)
    return info.header_offset + _LOCAL_HEADER + name + extra
