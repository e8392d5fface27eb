"""What a file holds, by its first bytes rather than by its name: text, Parquet or Excel, compressed or not."""

import bz2
import gzip
import io
import lzma
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from exp.errors import DataError

SUPPORTED = ".csv, .tsv, .txt, .parquet, .xlsx; text also compressed by gzip, bzip2, xz or zip"

# What opening and decompressing a damaged file can raise.
DAMAGES = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError)

_COMPRESSED: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_ARCHIVE = b"PK\x03\x04"

# Files that are not tables of text: their first bytes, what they are, and what to do.
_SAVE = "the table saved as .csv"
_OTHERS = (
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls)", "the table saved as .xlsx or .csv"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "the decompressed file, or one compressed by gzip"),
    (b"\x93NUMPY", "a NumPy array (.npy)", "numpy.savez(path, x=x, y=y) and dataset=arrays"),
    (b"%PDF", "a PDF document", _SAVE),
    (b"\x89HDF", "an HDF5 file", _SAVE),
    (b"SQLite format 3", "an SQLite database", _SAVE),
    (b"ARROW1", "an Arrow file", "the table saved as .parquet or .csv"),
    (b"FEA1", "a Feather file", "the table saved as .parquet or .csv"),
    (b"\x89PNG", "an image", _SAVE),
    (b"\xff\xd8\xff", "an image", _SAVE),
)
# The first characters of text that is no table, in lower case.
_MARKUP = (
    ("<!doctype html", "an HTML page"),
    ("<html", "an HTML page"),
    ("<?xml", "XML"),
    ('{"', "JSON"),
    ("{}", "JSON"),
    ("[{", "JSON"),
    ("[[", "JSON"),
    ("@relation", "an ARFF file"),
)


@dataclass(frozen=True)
class Source:
    """A file's content, decompressed.

    Attributes:
        where: The key and the path, for messages.
        kind: text, parquet or excel.
        name: The file's name without the suffix of the compression.
        open: Open the content for reading; files of Parquet and Excel can be sought in.
    """

    where: str
    kind: str
    name: str
    open: Callable[[], IO[bytes]]


@contextmanager
def reading_errors(where: str, encoding: str | None) -> Generator[None]:
    """Turn what a damaged file raises into a DataError; `where` is KEY=PATH."""
    try:
        yield
    except UnicodeError as error:
        raise DataError(f"{where}: the file is not {encoding} text", "dataset.encoding=null") from error
    except PermissionError as error:
        raise DataError(f"{where}: permission denied", f"chmod u+r {shlex.quote(where.partition('=')[2])}") from error
    except (ValueError, OverflowError, *DAMAGES) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: the file cannot be read: {message}", "a file that is whole") from error


def open_source(file: Path, where: str) -> Source:
    """Return the content of `file`. DataError if it is damaged, or not of a supported kind."""
    with file.open("rb") as stream:
        head = stream.read(16)
    for magic, decompress in _COMPRESSED:
        if head.startswith(magic):
            return _check(Source(where, "text", file.stem, partial(decompress, file)))
    if head.startswith(_ARCHIVE):
        return _open_zip(file, where)
    return _check(Source(where, "text", file.name, lambda: file.open("rb")))


def _check(source: Source) -> Source:
    """Return the source with its kind. DataError if it is no table."""
    with source.open() as stream:
        head = stream.read(512)
    if head.startswith(b"PAR1") or Path(source.name).suffix.lower() in (".parquet", ".pq"):
        return _in_memory(source, "parquet")
    for magic, what, fix in _OTHERS:
        if head.startswith(magic):
            raise DataError(f"{source.where}: the file is {what} (supported: {SUPPORTED})", fix)
    if head[257:262] == b"ustar":
        raise DataError(f"{source.where}: the file is a tar archive (supported: {SUPPORTED})", "the table in it")
    start = head.decode("latin-1").removeprefix("\xef\xbb\xbf").lstrip().lower()
    start = re.sub(r"(?<=^[\[{])\s+", "", start)
    for mark, what in _MARKUP:
        if start.startswith(mark):
            raise DataError(f"{source.where}: the file is {what} (supported: {SUPPORTED})", _SAVE)
    return source


def _in_memory(source: Source, kind: str) -> Source:
    """Return the source with an `open` that can seek: a file as it is, and decompressed content in memory."""

    def open_seekable() -> IO[bytes]:
        stream = source.open()
        if isinstance(stream, io.BufferedReader):
            return cast("IO[bytes]", stream)
        with stream:
            return io.BytesIO(stream.read())

    return Source(source.where, kind, source.name, open_seekable)


def _open_zip(file: Path, where: str) -> Source:
    with zipfile.ZipFile(file) as archive:
        members = [
            info.filename
            for info in archive.infolist()
            if not info.is_dir() and not info.filename.startswith("__MACOSX/") and info.file_size
        ]
    if "xl/workbook.xml" in members:
        return Source(where, "excel", file.name, lambda: file.open("rb"))
    if members and all(name.endswith(".npy") for name in members):
        raise DataError(f"{where}: the file holds NumPy arrays (.npz)", f"dataset=arrays dataset.path={file}")
    if "mimetype" in members or "[Content_Types].xml" in members:
        raise DataError(
            f"{where}: the file is an office document (supported: {SUPPORTED})", "the table saved as .xlsx or .csv"
        )
    if len(members) != 1:
        listed = ", ".join(members[:10]) or "no file"
        raise DataError(f"{where}: a zip archive must hold one table, got {listed}", "the path of one file of it")
    (member,) = members

    def open_member() -> IO[bytes]:
        return zipfile.ZipFile(file).open(member)

    source = Source(where, "text", Path(member).name, open_member)
    with source.open() as stream:
        is_excel = stream.read(4) == _ARCHIVE
    return _in_memory(source, "excel") if is_excel else _check(source)
