"""Write the splits of a dataset to files, with a column or a block of rows in memory at a time."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.category import UNKNOWN, CategoryColumn
from exp.data.columns.column import Column, Floats
from exp.data.columns.fit import fit_column
from exp.data.dataset import Dataset
from exp.data.folds import Fold
from exp.data.mapped.cache import check_disk
from exp.data.mapped.maps import as_bytes, iterate_blocks, release_pages
from exp.data.mapped.scratch import ColumnFile, Scratch
from exp.data.prepare import check_has_features, divide_rows
from exp.data.preprocessing import Preprocessing
from exp.data.scalers.registry import SCALERS
from exp.data.scalers.scaler import Scaler
from exp.data.split_notes import describe_columns, describe_rows
from exp.data.target_scale import fit_target_scale
from exp.errors import ConfigError

# The files of a prepared dataset: META, and x, y, ... of each split.
META, SPLITS = "meta.json", ("train", "val", "test")

# Values of a block of rows.
_VALUES = 2**22

_Rows = Sequence[NDArray[np.int64]]


@dataclass(frozen=True)
class Choices:
    """How rows are divided and scaled; `exp.data.prepare.prepare` describes the fields."""

    split: Sequence[float] | None
    scaler: str
    seed: int
    stratify: bool | None = None
    scale_target: bool | str | None = False
    train_on_val: bool = False
    fold: Fold | None = None
    codes_above: int | None = None


def write_splits(dataset: Dataset, choices: Choices, folder: Path, scratch: Scratch) -> None:
    """Write the splits that `prepare` returns for the dataset to files in `folder`.

    Raises:
        ConfigError, DataError: As `prepare`; or the scaler needs all rows in memory.
    """
    check_scaler(choices.scaler, dataset)
    rows, validation_rows = divide_rows(
        dataset, choices.split, choices.seed, choices.stratify, choices.train_on_val, choices.fold
    )
    ends = np.cumsum([0, *map(len, rows)]).tolist()
    scale = fit_target_scale(dataset.y, dataset.target_kind, rows[0], choices.scale_target, dataset.target)
    targets = replace(Preprocessing.of_columns(dataset, []), target_scale=scale)
    for place, name in enumerate(SPLITS[: len(rows)]):
        _write_vectors(dataset, targets, rows[place], folder, name)
    if choices.fold is not None and dataset.classes is None:
        _write(folder / "test.given", [dataset.y[rows[2]].astype(np.float64)])
    row_notes = describe_rows(dataset, rows, choices.fold, choices.scale_target, scale)
    release_pages(dataset.y)
    with closing(scratch.columns(len(dataset.x), dataset.x.shape[1], dataset.x.dtype)) as columns:
        _copy_columns(dataset.x, columns, scratch)
        for number in range(columns.count):
            columns.permute(number, rows)
            scratch.report("order", number + 1, columns.count)
        rows.clear()  # the order of 100 million rows takes 800 MB
        preprocessing, kept, unknown = _fit(dataset, columns, ends, choices, scratch)
        check_has_features(dataset, preprocessing, ends[1])
        preprocessing = replace(preprocessing, target_scale=scale)
        features = len(preprocessing.features)
        has_categories = any(isinstance(column, CategoryColumn) for column in preprocessing.columns)
        fewer = "fewer features, such as dataset.max_categories=20" if has_categories else ""
        check_disk(ends[-1] * features * np.dtype(np.float32).itemsize, fewer)
        values = _VALUES * len(kept) // max(len(kept), features)  # of the columns: a category has many features
        for name, start, stop in zip(SPLITS, ends, ends[1:], strict=False):
            blocks = columns.blocks(kept, start, stop, values)
            _write(folder / f"{name}.x", _transform(preprocessing, blocks, start, ends[-1], scratch))
    notes = (*describe_columns(dataset, preprocessing, unknown, validation_rows), *row_notes)
    y = preprocessing.targets_to_tensor(dataset.y[:1]).numpy()
    meta = {
        "sizes": np.diff(ends).tolist(),
        "features": features,
        "y": [str(y.dtype), list(y.shape[1:])],
        "fingerprint": dataset.fingerprint,
        "preprocessing": preprocessing.to_json(),
        "notes": notes,
    }
    _write(folder / META, [np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)])


def check_scaler(scaler: str, dataset: Dataset | None = None) -> None:
    """Raise ConfigError if the scaler cannot be fitted a column at a time."""
    has_shape = dataset is not None and bool(dataset.shape)
    if scaler == "none" or not (has_shape or scaler == "quantile"):
        return
    fix, of_what = ("dataset.scaler=none", " of sequences and images") if has_shape else ("dataset.scaler=robust", "")
    raise ConfigError(
        f"dataset.scaler={scaler}: the scaler{of_what} needs all rows in memory, but "
        "dataset.storage=mapped keeps them in files",
        f"{fix}, or dataset.storage=memory",
        key="dataset.scaler",
        override=fix,
    )


def _transform(
    preprocessing: Preprocessing, blocks: Iterable[Floats], start: int, rows: int, scratch: Scratch
) -> Iterator[NDArray[np.float32]]:
    """Yield the features of blocks of values, the first of which is row `start` of all `rows`."""
    for block in blocks:
        yield preprocessing.transform(block).astype(np.float32)
        start += len(block)
        scratch.report("write", start, rows)


def _copy_columns(x: NDArray[Any], columns: ColumnFile, scratch: Scratch) -> None:
    """Write the columns of x [N, C] to a file."""
    if x.flags.f_contiguous and x.shape[1] > 1:
        for number in range(x.shape[1]):
            for start, block in iterate_blocks(x[:, number]):
                columns.write(number, block, start)
            scratch.report("copy", number + 1, x.shape[1])
        return
    for start, block in iterate_blocks(x):
        for number, values in enumerate(np.ascontiguousarray(block.T)):
            columns.write(number, values, start)
        scratch.report("copy", start + len(block), len(x))


def _fit(
    dataset: Dataset, file: ColumnFile, ends: Sequence[int], choices: Choices, scratch: Scratch
) -> tuple[Preprocessing, list[int], dict[str, int]]:
    """Fit each column on the training rows, those before ends[1], and write those of categories again as encoded.

    A column gets the same bits alone as with others: a scaler sums the values of each column separately.

    Returns:
        The preprocessing, the numbers of its columns, and how many other rows have an unknown category, by column.
    """
    fitted: list[Column] = []
    kept: list[int] = []
    scalers: list[Scaler] = []
    unknown: dict[str, int] = {}
    for number, column in enumerate(dataset.columns):
        scratch.report("fit", number, len(dataset.columns))
        is_category = isinstance(column, CategoryColumn)
        values = file.read(number, 0, None if is_category else ends[1]).astype(np.float64, copy=False)
        one, values = fit_column(column, values, slice(0, ends[1]), choices.codes_above)
        if one is None:
            continue
        fitted.append(one)
        kept.append(number)
        if is_category:
            file.write(number, values)
            unknown[one.name] = int((values[ends[1] :] == UNKNOWN).sum())
        elif choices.scaler != "none":
            scalers += _fit_scalers(one, values, choices.scaler)
        del values  # before the next column is read
    preprocessing = Preprocessing.of_columns(dataset, fitted)
    if scalers:
        preprocessing = replace(preprocessing, scaler=type(scalers[0]).join(scalers))
    return preprocessing, kept, unknown


def _fit_scalers(column: Column, values: Floats, kind: str) -> list[Scaler]:
    """Return a scaler for each feature of the column that is scaled, fitted on values [N] of the training rows."""
    features = column.transform(values)
    scaled = np.flatnonzero(column.is_scaled).tolist()
    return [SCALERS[kind].fit(np.ascontiguousarray(features[:, place : place + 1])) for place in scaled]


def _write_vectors(
    dataset: Dataset, preprocessing: Preprocessing, rows: NDArray[np.int64], folder: Path, name: str
) -> None:
    """Write targets, weights and row numbers of the `rows` of a split."""
    parts = [rows[start : start + _VALUES] for start in range(0, len(rows), _VALUES)]
    _write(folder / f"{name}.y", (preprocessing.targets_to_tensor(dataset.y[part]).numpy() for part in parts))
    release_pages(dataset.y)
    numbers = dataset.row_numbers
    _write(folder / f"{name}.rows", (part + 1 if numbers is None else numbers[part] for part in parts))
    if dataset.weights is not None:
        weights = dataset.weights
        _write(folder / f"{name}.weights", (weights[part].astype(np.float32) for part in parts))


def _write(path: Path, blocks: Iterable[NDArray[Any]]) -> None:
    """Write blocks of numbers to a file, and wait until they are on the disk."""
    with path.open("wb") as file:
        for block in blocks:
            file.write(as_bytes(np.ascontiguousarray(block)))
        file.flush()
        os.fsync(file.fileno())
