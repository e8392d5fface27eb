"""Rows that are both in the training rows and in others, where a model can know them by heart."""

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats


def count_repeated(
    x: Floats, y: NDArray[np.float64] | NDArray[np.int64], seen: NDArray[np.int64], new: NDArray[np.int64]
) -> int:
    """Return how many of the rows `new` equal one of the rows `seen` in all values x [N, C] and targets y [N, ...]."""
    joined: Floats = np.concatenate([np.nan_to_num(x, nan=-np.pi), y.reshape(len(y), -1).astype(np.float64)], axis=1)
    # Equal rows have equal sums; the few rows with equal sums are compared value by value.
    weights = np.asarray(np.random.default_rng(0).random(joined.shape[1]), dtype=np.float64)
    with np.errstate(all="ignore"):
        sums: Floats = np.asarray(joined @ weights, dtype=np.float64)
    candidates = new[np.isin(sums[new], sums[seen])]
    matching = seen[np.isin(sums[seen], sums[candidates])]
    known = {row.tobytes() for row in joined[matching]}
    return sum(row.tobytes() in known for row in joined[candidates])
