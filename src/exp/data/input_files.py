"""Check the files of a dataset before anything is written: whether they exist, and the names in their first line."""

import csv
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from exp.config.nearest_names import nearest
from exp.config.overrides import quote_text, reads_as, text_override
from exp.config.python_names import is_held
from exp.data.held import MissingRowsError, find_held
from exp.data.reading.header import distinguish_names, looks_like_rows, number_names, strip_name
from exp.errors import ConfigError, DataError

# Targets of datasets that are read from files of numbers and words.
FILE_DATASETS = ("exp.data.files.table", "exp.data.files.arrays")

# Target of datasets of images.
IMAGE_DATASET = "exp.data.images.images"


TABLES = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".gz", ".zip", ".bz2", ".xz")
_TEXT_TABLES = (".csv", ".tsv", ".txt")
IMAGES = (".png", ".jpg", ".jpeg")
# Names of columns that a message lists.
_MAX_NAMES = 20
# The rows that tell whether the first one holds names.
_MAX_ROWS = 100
# The keys of the files of a dataset.
DATA_PATHS = ("dataset.path", "dataset.val_path", "dataset.test_path", "dataset.y_path")


def find_file(path: str, key: str = "dataset.path") -> Path:
    """Return the file at `path`, with ~ expanded. DataError if there is none, ConfigError if `path` is a URL."""
    if "://" in path:
        raise ConfigError(f"{key}={path}: URLs are not supported", "download the file and give its path")
    file = Path(path).expanduser()
    if file.is_dir():
        raise DataError(f"{key}={path}: it is a folder", "the path of a file", key=key)
    if not file.is_file():
        # Only the stems: fraud.csv and german.csv are similar because of their ends.
        near = nearest(file.stem, [other.stem for other in file.parent.glob(f"*{file.suffix}")])
        override = path_argument(key, str(file.parent / f"{near}{file.suffix}")) if near else None
        fix = shlex.quote(override) if override else "the path of a file"
        raise DataError(f"{key}={path}: file not found", fix, key=key, override=override)
    return file


def find_files(path: str, key: str = "dataset.path") -> list[Path]:
    """Return the files of a table at `path`: the file, the tables in a folder, or those that a pattern names, sorted.

    Rows that came from Python have none.

    Raises:
        DataError: There is none.
        ConfigError: `path` is a URL.
    """
    if is_held(path):
        find_held(path, key)
        return []
    place = Path(path).expanduser()
    is_pattern = any(mark in path for mark in "*?[") and not place.exists()
    if not place.is_dir() and not is_pattern:
        return [find_file(path, key)]
    found = sorted(place.parent.glob(place.name)) if is_pattern else sorted(place.iterdir())
    files = [file for file in found if file.is_file() and file.suffix.lower() in TABLES]
    if not files:
        what = "no table matches the pattern" if is_pattern else "the folder has no tables"
        raise DataError(f"{key}={path}: {what}", f"a folder with {', '.join(TABLES[:4])} files", key=key)
    return files


def identify(file: Path) -> tuple[int, ...]:
    """Return numbers that change with the content of a file: the kernel sets the time of the last change itself."""
    stat = file.stat()
    return stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def find_image_folder(path: str, key: str = "dataset.path") -> Path:
    """Return the folder at `path`, with ~ expanded. DataError if there is none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "folder not found"
        raise DataError(f"{key}={path}: {what}", "a folder with a folder of images for each class", key=key)
    return folder


def path_argument(key: str, path: str) -> str:
    """Return `path` as the value of a key of the config, quoted for Hydra, or as the argument of a command."""
    return text_override(key, path) if "." in key else f"{key}={path}"


def check_input_files(dataset: Mapping[str, Any]) -> None:
    """Check the files that the `dataset` of a config names, without reading their rows.

    Raises:
        DataError: A file does not exist, or its first line has a name similar to the target's but not the target's.
        ConfigError: A table is given to dataset=arrays, or arrays to dataset=table.
    """
    target = str(dataset.get("_target_"))
    if target == IMAGE_DATASET and isinstance(dataset.get("path"), str):
        find_image_folder(dataset["path"])
    if target not in FILE_DATASETS:
        return
    for key in DATA_PATHS:
        if isinstance(path := dataset.get(key.removeprefix("dataset.")), str):
            find = find_files if target.endswith("table") or is_held(path) else find_file
            find(path, key)
    path = str(dataset["path"])
    if is_held(path):
        return
    if target.endswith("table"):
        path = str(find_files(path)[0])
    suffix, file = Path(path).suffix.lower(), text_override("dataset.path", path)
    if target.endswith("arrays") and suffix in TABLES:
        columns, options = find_columns(path)
        words = ("dataset=table", file, *options, text_override("dataset.target", columns[-1] if columns else "COLUMN"))
        raise ConfigError(f"dataset.path={path}: it is a table, and dataset=arrays reads .npz files", shlex.join(words))
    if target.endswith("table") and suffix == ".npz":
        raise ConfigError(f"dataset.path={path}: a .npz file holds arrays", shlex.join(("dataset=arrays", file)))
    wanted, columns = str(dataset.get("target")), [strip_name(name) for name in columns_of(path)]
    is_one = isinstance(dataset.get("target"), str) and target.endswith("table")
    is_found = dataset.get("separator") is None and dataset.get("header") is not False
    is_read = is_one and is_found and _are_names(columns, path, wanted)
    if is_read and wanted not in columns and (near := nearest(wanted, columns)) is not None:
        override = f"dataset.target={quote_text(near)}"
        shown = columns if len(columns) <= _MAX_NAMES else [*columns[:_MAX_NAMES], "…"]
        what = f"dataset.target={wanted}: {path} has no column {wanted!r} (available: {', '.join(shown)})"
        raise DataError(what, shlex.quote(override), key="dataset.target", override=override)


def _are_names(columns: Sequence[str], path: str, wanted: str) -> bool:
    """Return whether the first line surely has the names: one separator is in it, and no line below has `wanted`."""
    if len(columns) < 2 or any(mark in name for name in columns for mark in ";\t|"):
        return False
    with Path(path).expanduser().open(encoding="utf-8-sig", errors="replace") as file:
        head = re.split(r'[,;\t|"\r\n]', file.read(1 << 13))
    return wanted not in [cell.strip() for cell in head]


def with_moved_files(dataset: dict[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """Return the `dataset` of a config with other paths of its files, by their keys.

    Raises:
        ConfigError: It has no such file.
    """
    paths = {key: key.removeprefix("dataset.") for key in moved}
    for key, name in paths.items():
        if key not in DATA_PATHS or dataset.get(name) is None:
            has = [key for key in DATA_PATHS if dataset.get(key.removeprefix("dataset.")) is not None]
            available = ", ".join(has) or "none"
            raise ConfigError(
                f"{key}={moved[key]}: the run has no file of that key (available: {available})",
                f"{has[0]}={moved[key]}" if has else f"no {key}=",
                key=key,
            )
    return {**dataset, **{name: moved[key] for key, name in paths.items()}}


def place_of(error: DataError, typed: Collection[str]) -> str:
    """Return the path to try for the data file of a run that `error` does not find: one of a similar name, or NEW.

    Args:
        typed: The keys of the paths that were typed. The others are those that the run had, so they are not misspelled.
    """
    if isinstance(error, MissingRowsError):
        return error.file
    found = error.override if error.key in typed and isinstance(error.override, str) else None
    path = reads_as(found.partition("=")[2]) if found is not None else None
    return path if isinstance(path, str) else "NEW"


def describe_place(error: DataError, typed: Collection[str]) -> str:
    """Return the argument of a command that names the place of that file; `typed` as in `place_of`."""
    if isinstance(error, MissingRowsError):
        return f"{error.key}={error.file}, after {error.save} in Python"
    return f"{shlex.quote(f'{error.key}={place_of(error, typed)}')}, where the file is now"


def describe_moved(path: str) -> str:
    """Return the note on a data file that is now at another `path`, as KEY=VALUE."""
    return f"{path}: its rows are those that the run was trained on"


def describe_changed_rows(recorded: str, found: str) -> str:
    """Return what is wrong if the fingerprint of a run's rows was `recorded`, and is `found`."""
    return f"their fingerprint was {recorded[:12]}, is now {found[:12]}"


def columns_of(path: str) -> list[str]:
    """Return the names of the columns of a text table; none if it cannot be read."""
    return find_columns(path)[0]


def find_columns(path: str) -> tuple[list[str], tuple[str, ...]]:
    """Return what `columns_of` returns, and the overrides with which the table has these columns.

    If the first line holds values, the columns are column_1, column_2, ...
    """
    names, *rows = _first_rows(path) or [list[str]()]
    if looks_like_rows(names, rows):
        return number_names(len(names)), ("dataset.header=false",)
    return distinguish_names(names)[0], ()


def _first_rows(path: str) -> list[list[str]]:
    suffix = Path(path).suffix.lower()
    if suffix not in _TEXT_TABLES:
        return []
    try:
        with Path(path).expanduser().open(newline="", encoding="utf-8-sig") as file:
            return [*islice(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","), _MAX_ROWS)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
