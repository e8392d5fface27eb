"""A small convolutional network for square grey-scale images."""

from collections.abc import Sequence
from math import isqrt

from torch import nn


class CNN(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features]: images of side x side values, row by row.

    Args:
        in_features: Number of pixels, a square number.
        out_features: Number of outputs.
        channels: Channels of each block: a 3 x 3 convolution, ReLU and 2 x 2 max pooling. A linear layer follows.

    Raises:
        ValueError: `in_features` is not a square number, or the image is too small for the number of blocks.
    """

    def __init__(self, in_features: int, out_features: int, channels: int | Sequence[int] = (8, 16)) -> None:
        side = isqrt(in_features)
        if side * side != in_features:
            raise ValueError(
                f"in_features={in_features} is not a square number, so the rows are not images of side x side values"
            )
        widths = [channels] if isinstance(channels, int) else list(channels)
        if side >> len(widths) == 0:
            raise ValueError(f"channels={widths}: too many for an image of {side} x {side}, each halves its side")
        layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
        before = 1
        for width in widths:
            layers += [nn.Conv2d(before, width, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        reduced = side >> len(widths)
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * reduced * reduced, out_features))
