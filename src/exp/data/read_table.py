"""Read the file of a table with pandas."""

import importlib
import re
from pathlib import Path
from typing import Any, TypeAlias

from exp.errors import ConfigError, DataError, nearest, require_extra

# DataFrame and Series: pandas has no complete types, so pyright would report every use.
Frame: TypeAlias = Any


Cells: TypeAlias = Any


def import_pandas() -> Any:
    """Import pandas lazily: it takes half a second."""
    return importlib.import_module("pandas")


def read_frame(
    path: str, separator: str | None = None, decimal: str = ".", encoding: str = "utf-8", key: str = "dataset.path"
) -> Frame:
    """Read a .csv, .tsv, .txt or .parquet file into a DataFrame.

    Args:
        key: The key that holds the path, for messages.

    Raises:
        DataError: The file cannot be read, has no rows, or has no usable column names.
        ConfigError: pyarrow is not installed and the file is .parquet, or the encoding is unknown.
    """
    file = find_file(path, key)
    pd = import_pandas()
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".txt", ".parquet"):
        raise DataError(
            f"{key}={path}: unsupported file type '{kind}' (supported: .csv, .tsv, .txt, .parquet)",
            "save the table as .csv",
        )
    try:
        if kind == ".parquet":
            with require_extra("pyarrow", f"{key}={path}", "parquet"):
                importlib.import_module("pyarrow")
            frame = pd.read_parquet(file)
        else:
            separator = "\t" if separator == "tab" else separator or ("\t" if kind == ".tsv" else ",")
            header = pd.read_csv(file, sep=separator, header=None, nrows=1, dtype=str, encoding=encoding)
            names = [str(name).strip() for name in header.iloc[0].fillna("")]
            _check_names(f"{key}={path}", names, separator)
            frame = pd.read_csv(
                file, sep=separator, decimal=decimal, encoding=encoding, index_col=False, low_memory=False
            )
            frame.columns = pd.Index(names)
    except UnicodeDecodeError as error:
        raise DataError(f"{key}={path}: the file is not {encoding} text", "dataset.encoding=latin-1") from error
    except LookupError as error:
        raise ConfigError(f"dataset.encoding={encoding}: {error}", "dataset.encoding=utf-8") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{key}={path}: the file is empty", "a line of column names and a line for each row") from error
    except (pd.errors.ParserError, ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split())
        raise DataError(f"{key}={path}: {message}", "a file with as many cells in each line as column names") from error
    if not len(frame):
        raise DataError(f"{key}={path}: the file has column names but no rows", "a line for each row")
    return frame


def _check_names(where: str, names: list[str], separator: str) -> None:
    """DataError if the first line does not hold a unique name for each column."""
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        raise DataError(
            f"{where}: the only column is {names[0]!r}: the cells are not separated by {separator!r}",
            "dataset.separator=tab" if other == "\t" else f"'dataset.separator=\"{other}\"'",
        )
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{where}: duplicate column names: {', '.join(map(repr, duplicates))}", "unique column names")
    if "" in names:
        raise DataError(
            f"{where}: column {names.index('') + 1} has no name", "a name for every column in the first line"
        )
    if all(re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", name) for name in names):
        raise DataError(
            f"{where}: the first line holds numbers instead of column names", "a first line of column names"
        )


def find_file(path: str, key: str = "dataset.path") -> Path:
    """Return the file at `path`, with ~ expanded. DataError if there is none, ConfigError if `path` is a URL."""
    if "://" in path:
        raise ConfigError(f"{key}={path}: URLs are not supported", "download the file and give its path")
    file = Path(path).expanduser()
    if not file.is_file():
        near = nearest(file.name, [other.name for other in file.parent.glob("*")])
        raise DataError(
            f"{key}={path}: {'it is a folder' if file.is_dir() else 'file not found'}",
            f"{key}={file.parent / near}" if near and not file.is_dir() else "the path of a file",
        )
    return file
