"""A small convolutional network for rows that are square pictures, such as those of digits."""

from collections.abc import Sequence
from math import isqrt

from torch import nn


class CNN(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features]: pictures of side x side grey values, row after row.

    Each of `channels` is a convolution of 3 x 3 with ReLU, then the largest of every 2 x 2; a linear layer ends it.
    ValueError if in_features is no square, or the picture too small for so many.
    """

    def __init__(self, in_features: int, out_features: int, channels: int | Sequence[int] = (8, 16)) -> None:
        side = isqrt(in_features)
        if side * side != in_features:
            raise ValueError(f"in_features={in_features} is no square: the rows are no pictures of side x side values")
        widths = [channels] if isinstance(channels, int) else list(channels)
        if side >> len(widths) == 0:
            raise ValueError(f"channels={widths}: each halves the side of the picture, and it has {side}")
        layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
        before = 1
        for width in widths:
            layers += [nn.Conv2d(before, width, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        reduced = side >> len(widths)
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * reduced * reduced, out_features))
