"""From a table to the rows a model sees: split, then standardised by the training rows alone."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from exp.data.split import Data, Split
from exp.data.table import Table
from exp.errors import ConfigError
from exp.seeding import split_order


def prepare(table: Table, split: Sequence[float] | None, standardize: bool, seed: int) -> Data:
    """The splits, on the CPU, as `random_split` deals them out after `torch.manual_seed(seed)`.

    `split` holds three fractions or three counts: train, val, test. A fraction is rounded down to whole rows, and the
    rest goes to test. None trains and tests on all rows. Standardising happens in float64, before the cast to float32.
    """
    if split is None:
        rows = [np.arange(len(table.x))]
    else:
        order = split_order(len(table.x), seed).numpy()
        rows = np.split(order, np.cumsum(split_sizes(split, len(table.x)))[:2])
    x = standardized(table.x, rows[0]) if standardize else table.x
    y = torch.from_numpy(table.y)
    if table.classes is None:
        y = y.float()
    parts = [Split(torch.tensor(x[part], dtype=torch.float32), y[torch.from_numpy(part)]) for part in rows]
    train, val, test = parts if split is not None else parts * 3
    return Data(train, val, test, table.features, table.classes, table.fingerprint)


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


def standardized(x: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """x with every feature's mean over the `train` rows taken away, divided by its standard deviation there."""
    from sklearn.preprocessing import StandardScaler  # late: scikit-learn takes most of a second to import

    return np.asarray(StandardScaler().fit(x[train]).transform(x))
