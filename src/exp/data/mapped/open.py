"""Open the prepared splits of a dataset in the cache, or write them first."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from exp.data.dataset import Dataset
from exp.data.input_files import identify
from exp.data.mapped.cache import cache_folder, check_disk, find_or_write
from exp.data.mapped.maps import as_bytes
from exp.data.mapped.read import read_splits
from exp.data.mapped.scratch import Scratch
from exp.data.mapped.write import Choices, check_scaler, write_splits
from exp.data.splits import Splits
from exp.errors import DataError

# To be raised when the files of prepared datasets change.
_FORMAT = 2

# What the values and the order of the rows may depend on.
_LIBRARIES = ("exp", "numpy", "pandas", "scikit-learn", "torch")


def open_splits(
    node: Mapping[str, Any],
    choices: Choices,
    files: Sequence[Path],
    load: Callable[[Scratch], Dataset],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Splits:
    """Return the splits that `prepare` returns, with rows in mapped files of the cache.

    Args:
        node: The dataset of the config, without what `choices` has.
        files: The files of its rows. Equal files have the same path, size and times of change. Without files, the
            dataset is loaded every time, and compared.
        load: Loads the dataset; what is too large for memory is written to the scratch folder.
        on_progress: Called with the percentage of the preparation that is done.

    Raises:
        DataError: A file changed while it was read, a few columns at a time: rows of two versions would be mixed.
    """
    check_scaler(choices.scaler)
    label = f"{node.get('path') or node['_target_']}, split {choices.split}, seed {choices.seed}"
    if files:
        identified = [identify(file) for file in files]
        stats = [(str(file.resolve()), *numbers) for file, numbers in zip(files, identified, strict=True)]

        def write(to: Path) -> None:
            try:
                _write(load, choices, Scratch(to, on_progress))
            except Exception:  # rows of two versions may be an error of the table
                _refuse_changed(files, identified)
                raise
            _refuse_changed(files, identified)

        return read_splits(find_or_write(_describe([dict(node), stats], choices), label, write))
    dataset = load(Scratch(cache_folder(create=True), on_progress))
    content = _describe(_list_parts(dataset), choices)
    return read_splits(
        find_or_write(content, label, lambda to: _write(lambda _: dataset, choices, Scratch(to, on_progress)))
    )


def _write(load: Callable[[Scratch], Dataset], choices: Choices, scratch: Scratch) -> None:
    dataset = load(scratch)
    rows, columns = dataset.x.shape
    check_disk(rows * (columns * (dataset.x.dtype.itemsize + 4) + 16))
    write_splits(dataset, choices, scratch.folder, scratch)


def _refuse_changed(files: Sequence[Path], identified: Sequence[tuple[int, ...]]) -> None:
    """Raise DataError if a file is not the one that `identify` returned these numbers of."""
    for file, numbers in zip(files, identified, strict=True):
        if not file.exists() or identify(file) != numbers:
            raise DataError(
                f"{file}: the file changed while its rows were read",
                "the same command again, once no other program writes to the file",
            )


def _list_parts(dataset: Dataset) -> list[Any]:
    """Return what tells a dataset from others: digests of its arrays, and its other fields."""
    by_row = (dataset.groups, dataset.parts, dataset.order, dataset.row_numbers)
    digests = [
        None if one is None else hashlib.sha256(as_bytes(np.ascontiguousarray(one))).hexdigest() for one in by_row
    ]
    notations = (dataset.target_notation, dataset.weight_notation)
    names = (
        dataset.target,
        dataset.notes,
        dataset.classes,
        dataset.shape,
        *(asdict(target) for target in dataset.targets),
    )
    return [dataset.fingerprint, *digests, *notations, *names, *(asdict(column) for column in dataset.columns)]


def _describe(rows: Sequence[Any], choices: Choices) -> str:
    """Return all that the prepared dataset depends on."""
    versions = [version(name) for name in _LIBRARIES]
    return json.dumps([_FORMAT, versions, rows, asdict(choices)], sort_keys=True, default=str)
