"""Rows that are sequences or images: their values in a row, and by channel."""

from collections.abc import Sequence

import numpy as np

from exp.data.columns.column import Floats


def to_channels(x: Floats, shape: Sequence[int]) -> Floats:
    """Return rows [N, F] as values by channel [M, C], for rows of the `shape` [T, C], or [C, H, W] of images.

    Without a shape, each feature is a channel.
    """
    if len(shape) < 2:
        return x
    values = x.reshape(len(x), *shape)
    if len(shape) > 2:
        values = np.moveaxis(values, 1, -1)
    return np.ascontiguousarray(values).reshape(-1, values.shape[-1])


def from_channels(values: Floats, shape: Sequence[int]) -> Floats:
    """Return rows [N, F] of what `to_channels` returned."""
    if len(shape) < 2:
        return values
    if len(shape) == 2:
        return values.reshape(-1, int(np.prod(shape)))
    channels, *sides = shape
    rows = np.moveaxis(values.reshape(-1, *sides, channels), -1, 1)
    return np.ascontiguousarray(rows).reshape(-1, int(np.prod(shape)))
