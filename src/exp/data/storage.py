"""dataset.storage: whether the rows of a dataset are in memory or in mapped files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.config.python_names import is_held
from exp.data.estimate import estimate_memory
from exp.data.input_files import DATA_PATHS, FILE_DATASETS, IMAGE_DATASET, find_files, find_image_folder
from exp.data.memory import available_memory
from exp.errors import DataError, format_bytes

_MAPPED = "dataset.storage=mapped"


@dataclass(frozen=True)
class Storage:
    """Where the rows are, and a note for the user if `auto` chose mapped files."""

    is_mapped: bool
    note: str | None = None


def choose_storage(node: Mapping[str, Any]) -> Storage:
    """Return where the rows of the dataset that `node` describes are to be.

    auto is memory, unless the files of the dataset would need more of it than there is.

    Raises:
        DataError: dataset.storage=memory, and they would.
    """
    choice = node.get("storage", "auto")
    if has_held_rows(node):
        if choice == "mapped":
            what = "dataset.storage=mapped: these rows came from Python, and are in memory"
            raise DataError(what, "dataset.storage=memory, or the path of a file", key="dataset.storage")
        return Storage(is_mapped=False)
    if choice == "mapped":
        return Storage(is_mapped=True)
    needed = estimate_memory(node, list_files(node)) if node["_target_"] in FILE_DATASETS else None
    available = None if needed is None else available_memory()
    if needed is None or available is None or needed <= available:
        return Storage(is_mapped=False)
    what = f"to load {node['path']} needs about {format_bytes(needed)} of memory, and {format_bytes(available)} are"
    if choice == "memory":
        raise DataError(f"dataset.storage=memory: {what} available", _MAPPED, key="dataset.storage", override=_MAPPED)
    return Storage(is_mapped=True, note=f"rows in mapped files ({_MAPPED}): {what} available")


def has_held_rows(node: Mapping[str, Any]) -> bool:
    """Return whether rows of the dataset came from Python, in place of a file."""
    return any(is_held(str(node.get(key.removeprefix("dataset.")))) for key in DATA_PATHS)


def list_files(node: Mapping[str, Any]) -> list[Path]:
    """Return the files that hold the rows of the dataset; none if it is made by a function, or came from Python.

    Of images, these are all files and folders below the given one: an empty folder is a note.
    """
    if node["_target_"] == IMAGE_DATASET:
        return sorted(find_image_folder(str(node["path"])).rglob("*"))
    if node["_target_"] not in FILE_DATASETS:
        return []
    given = {key: node.get(key.removeprefix("dataset.")) for key in DATA_PATHS}
    return [file for key, path in given.items() if path is not None for file in find_files(str(path), key)]
