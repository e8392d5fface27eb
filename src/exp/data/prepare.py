"""From a table to the rows a model sees: split, and then made into features by what the training rows teach."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from exp.data.dataset import Dataset
from exp.data.preprocessing import Preprocessing
from exp.data.seeding import split_order
from exp.data.splits import Split, Splits
from exp.errors import ConfigError


def prepare(
    table: Dataset, split: Sequence[float] | None, standardize: bool, seed: int, stratify: bool = False
) -> Splits:
    """The splits, on the CPU, as `random_split` deals them out after `torch.manual_seed(seed)`.

    `split` holds three fractions or three counts: train, val, test. A fraction is rounded down to whole rows, and the
    rest goes to test. None trains and tests on all rows. Standardising happens in float64, before the cast to float32.
    With `stratify` the classes have the same shares in each part, and the table's groups, if it has them, stay whole.
    """
    if split is None:
        rows = [np.arange(len(table.x))]
    else:
        rows = _assign_rows(table, split_sizes(split, len(table.x)), split_order(len(table.x), seed).numpy(), stratify)
    preprocessing, recoded = Preprocessing.fit(table, rows[0], standardize)
    x = preprocessing.transform(recoded)
    y = torch.from_numpy(table.y)
    if table.classes is None:
        y = y.float()
    numbers = table.numbers if table.numbers is not None else np.arange(1, len(x) + 1)
    parts = [
        Split(torch.tensor(x[part], dtype=torch.float32), y[torch.from_numpy(part)], numbers[part]) for part in rows
    ]
    train, val, test = parts if split is not None else parts * 3
    return Splits(train, val, test, preprocessing, table.fingerprint, (*table.notes, *preprocessing.unknown(recoded)))


def _assign_rows(table: Dataset, sizes: list[int], order: NDArray[np.int64], stratify: bool) -> list[NDArray[np.int64]]:
    """The rows of each part, in that order. ConfigError if one would be empty."""
    if table.groups is not None and stratify:
        raise ConfigError("dataset.stratify=true: groups that stay whole cannot have the same shares", "one of the two")
    ends = np.cumsum(sizes)
    part = np.empty(len(order), dtype=np.int64)  # of each row
    if table.groups is not None:
        _, first, counts = np.unique(table.groups[order], return_index=True, return_counts=True)
        in_turn = np.argsort(first)
        middles = np.cumsum(counts[in_turn]) - counts[in_turn] / 2
        part_of_group = np.empty(len(counts), dtype=np.int64)
        part_of_group[in_turn] = np.searchsorted(ends[:2], middles, side="right")
        part = part_of_group[np.unique(table.groups, return_inverse=True)[1]]
    elif stratify:
        if table.classes is None:
            raise ConfigError(
                "dataset.stratify=true: there are no classes to have the same shares", "dataset.stratify=false"
            )
        for label in range(len(table.classes)):
            rows = order[table.y[order] == label]
            part[rows] = np.searchsorted(ends[:2] / len(order), (np.arange(len(rows)) + 0.5) / len(rows), side="right")
    else:
        part[order] = np.repeat(np.arange(3), sizes)
    parts = [order[part[order] == number] for number in range(3)]
    if not all(map(len, parts)):
        raise ConfigError(
            f"dataset.split: {' / '.join(str(len(rows)) for rows in parts)} rows for train, val and test",
            "fewer parts of another size: 'dataset.split=[.4,.3,.3]', or no groups",
        )
    return parts


def split_sizes(split: Sequence[float], n: int) -> list[int]:
    """How many of n rows go to train, val and test: int(fraction * n) and the rest to test, or the counts as given.

    ConfigError if they do not add up, or leave a part empty.
    """
    allowed = "three fractions that add up to 1, or three counts that add up to the rows, none of them 0"
    cure = "'dataset.split=[.6,.2,.2]'" if n >= 5 else "dataset.split=null, which trains and evaluates on all rows"
    if len(split) != 3:
        raise ConfigError(f"dataset.split must be {allowed}, not {list(split)}", cure)
    if all(isinstance(part, int) for part in split):
        sizes = [int(part) for part in split]
    elif abs(sum(split) - 1) < 1e-6 and min(split) > 0:
        sizes = [int(part * n) for part in split[:2]]
        sizes.append(n - sum(sizes))
    else:
        sizes = [0]
    if sum(sizes) != n or min(sizes) < 1:
        raise ConfigError(f"dataset.split must be {allowed}; {list(split)} does not divide {n} rows so", cure)
    return sizes
