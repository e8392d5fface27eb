"""A table's file as pandas reads it."""

import importlib
import re
from pathlib import Path
from typing import Any, TypeAlias

from exp.errors import ConfigError, DataError, nearest, require_extra

# pandas' DataFrame and Series, whose types would say Unknown at every turn.
Frame: TypeAlias = Any


Cells: TypeAlias = Any


def pandas() -> Any:
    """The package, late: it takes half a second, and is an extra. ConfigError if it is not there."""
    with require_extra("pandas", "a table", "tables"):
        return importlib.import_module("pandas")


def read_frame(
    path: str, separator: str | None = None, decimal: str = ".", encoding: str = "utf-8", key: str = "dataset.path"
) -> Frame:
    """The file as pandas reads it. DataError, saying what to do, if it cannot be read or its names are no names."""
    file = existing_file(path, key)
    pd = pandas()
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".txt", ".parquet"):
        raise DataError(f"{key}={path}: it reads .csv, .tsv and .parquet", "the table in one of these")
    try:
        if kind == ".parquet":
            frame = pd.read_parquet(file)
        else:
            apart = "\t" if separator == "tab" else separator or ("\t" if kind == ".tsv" else ",")
            heading = pd.read_csv(file, sep=apart, header=None, nrows=1, dtype=str, encoding=encoding)
            names = [str(name).strip() for name in heading.iloc[0].fillna("")]
            _refuse_names(f"{key}={path}", names, apart)
            frame = pd.read_csv(file, sep=apart, decimal=decimal, encoding=encoding, index_col=False, low_memory=False)
            frame.columns = pd.Index(names)
    except UnicodeDecodeError as error:
        raise DataError(f"{key}={path}: it is not text in {encoding}", "dataset.encoding=latin-1") from error
    except LookupError as error:
        raise ConfigError(f"dataset.encoding={encoding}: {error}", "dataset.encoding=utf-8") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{key}={path}: the file is empty", "a line of names and a line for each row") from error
    except (pd.errors.ParserError, ValueError, OSError, ImportError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{key}={path}: {said}", "a file with as many cells in each line as names") from error
    if not len(frame):
        raise DataError(f"{key}={path}: there are names and no rows", "a line for each row")
    return frame


def _refuse_names(where: str, names: list[str], separator: str) -> None:
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        raise DataError(
            f"{where}: one column, {names[0]!r}: its cells are not parted by {separator!r}",
            "dataset.separator=tab" if other == "\t" else f"'dataset.separator=\"{other}\"'",
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{where}: two columns have the name {', '.join(map(repr, twice))}", "other names")
    if "" in names:
        raise DataError(f"{where}: column {names.index('') + 1} has no name", "a name in the first line")
    if all(re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", name) for name in names):
        raise DataError(f"{where}: its first line holds numbers, and no names", "a first line of names")


def existing_file(path: str, key: str = "dataset.path") -> Path:
    """The file at `path`. DataError if there is none, ConfigError if it is an address."""
    if "://" in path:
        raise ConfigError(f"{key}={path}: nothing is downloaded", "the file's path, once you have it here")
    file = Path(path).expanduser()
    if not file.is_file():
        near = nearest(file.name, [one.name for one in file.parent.glob("*")])
        raise DataError(
            f"{key}={path}: {'it is a folder' if file.is_dir() else 'there is no such file'}",
            f"{key}={file.parent / near}" if near and not file.is_dir() else "the path of a file",
        )
    return file
