"""Split a dataset, and turn its rows into features with preprocessing fitted on the training rows."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.data.columns.base import Floats
from exp.data.dataset import Dataset
from exp.data.memory import check_memory
from exp.data.preprocessing import Preprocessing
from exp.data.seeding import split_order
from exp.data.splits import Split, Splits
from exp.errors import ConfigError, as_yaml


def prepare(
    dataset: Dataset, split: Sequence[float] | None, standardize: bool, seed: int, stratify: bool = False
) -> Splits:
    """Return the splits on the CPU, with rows assigned as `random_split` does after `torch.manual_seed(seed)`.

    Args:
        split: Three fractions or three numbers of rows: train, val, test. Fractions are rounded down to whole rows, and
            the remaining rows are test rows. None uses all rows for all three.
        standardize: Scale number columns by the mean and deviation of the training rows, in float64 before the cast to
            float32.
        seed: Seeds torch's random generator; it decides which row is in which split.
        stratify: Give every split the same class proportions.

    Rows of one group of the dataset stay in one split.

    Raises:
        ConfigError: The split does not fit the rows, or a split would be empty.
    """
    n = len(dataset.x)
    if split is None:
        rows = [np.arange(n)]
    else:
        rows = _assign_rows(dataset, split_sizes(split, n), split_order(n, seed).numpy(), stratify)
    preprocessing, encoded = Preprocessing.fit(dataset, rows[0], standardize)
    y = torch.from_numpy(dataset.y)
    if dataset.classes is None:
        y = y.float()
    numbers = dataset.row_numbers if dataset.row_numbers is not None else np.arange(1, n + 1)
    check_memory(n, len(preprocessing.features))
    parts = [Split(_features(preprocessing, encoded, part), y[torch.from_numpy(part)], numbers[part]) for part in rows]
    train, val, test = parts if split is not None else parts * 3
    left_out = {column.name for column in dataset.columns} - {column.name for column in preprocessing.columns}
    notes = (
        *dataset.notes,
        *(f"left out column {name}: it is empty in every training row" for name in sorted(left_out)),
        *(note for column in preprocessing.columns for note in column.notes()),
        *preprocessing.unknown_notes(encoded),
    )
    return Splits(train, val, test, preprocessing, dataset.fingerprint, notes)


# Values of features in float64 that are computed at a time.
_MAX_VALUES = 2**22


def _features(preprocessing: Preprocessing, x: Floats, rows: NDArray[np.int64]) -> Tensor:
    """Return the features, float32 [N, F], of the N rows with these numbers; in float64 only a part at a time."""
    features = torch.empty(len(rows), len(preprocessing.features))
    step = max(1, _MAX_VALUES // max(1, features.shape[1]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        features[start : start + len(part)] = torch.from_numpy(preprocessing.transform(x[part]))
    return features


def _assign_rows(
    dataset: Dataset, sizes: list[int], order: NDArray[np.int64], stratify: bool
) -> list[NDArray[np.int64]]:
    """Return the rows of each split, in the given order. ConfigError if a split would be empty."""
    if dataset.groups is not None and stratify:
        raise ConfigError("dataset.stratify=true cannot be combined with dataset.group", "dataset.stratify=false")
    ends = np.cumsum(sizes)
    split_of_row = np.empty(len(order), dtype=np.int64)
    if dataset.groups is not None:
        _, first, counts = np.unique(dataset.groups[order], return_index=True, return_counts=True)
        by_first = np.argsort(first)
        middles = np.cumsum(counts[by_first]) - counts[by_first] / 2
        split_of_group = np.empty(len(counts), dtype=np.int64)
        split_of_group[by_first] = np.searchsorted(ends[:2], middles, side="right")
        split_of_row = split_of_group[np.unique(dataset.groups, return_inverse=True)[1]]
    elif stratify:
        if dataset.classes is None:
            raise ConfigError(
                "dataset.stratify=true needs classes, but the target is numeric", "dataset.stratify=false"
            )
        for label in range(len(dataset.classes)):
            rows = order[dataset.y[order] == label]
            middles = (np.arange(len(rows)) + 0.5) / len(rows)
            split_of_row[rows] = np.searchsorted(ends[:2] / len(order), middles, side="right")
    else:
        split_of_row[order] = np.repeat(np.arange(3), sizes)
    parts = [order[split_of_row[order] == index] for index in range(3)]
    if not all(map(len, parts)):
        raise ConfigError(
            f"dataset.split: every split must have a row, got {', '.join(str(len(rows)) for rows in parts)} rows",
            "other sizes, such as 'dataset.split=[.4,.3,.3]', or no dataset.group",
        )
    return parts


def split_sizes(split: Sequence[float], n: int) -> list[int]:
    """Return the numbers of training, validation and test rows among n rows.

    A fraction f means int(f * n) rows, and the remaining rows are test rows. Integers are numbers of rows.

    Raises:
        ConfigError: The parts do not add up to 1 or n, or a split would be empty.
    """
    fix = "'dataset.split=[.6,.2,.2]'" if n >= 5 else "dataset.split=null, which trains and evaluates on all rows"
    is_counts = all(isinstance(part, int) for part in split)
    total = n if is_counts else 1
    if len(split) != 3 or min(split) <= 0 or abs(sum(split) - total) > 1e-6:
        raise ConfigError(
            f"dataset.split must be three fractions > 0 with sum 1, or three row counts > 0 with sum {n}, got "
            f"{as_yaml(list(split))}",
            fix,
        )
    if is_counts:
        return [int(part) for part in split]
    sizes = [int(part * n) for part in split[:2]]
    sizes.append(n - sum(sizes))
    if min(sizes) < 1:
        raise ConfigError(f"dataset.split={as_yaml(list(split))} leaves a split of the {n} rows empty", fix)
    return sizes
