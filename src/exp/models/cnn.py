"""A small convolutional network for images."""

from collections.abc import Sequence
from math import isqrt

from torch import nn

POOLINGS: dict[str, type[nn.MaxPool2d] | type[nn.AvgPool2d]] = {"max": nn.MaxPool2d, "mean": nn.AvgPool2d}


class CNN(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features], which are images, channel by channel and row by row.

    Args:
        in_features: Number of values of an image.
        out_features: Number of outputs.
        channels: Channels of each block of 3 x 3 convolutions, ReLU and 2 x 2 pooling. A linear layer follows.
        convolutions: Number of convolutions of each block.
        norm: Normalisation before each ReLU: batch, or layer, which is over all channels of an image; None: none.
        pooling: What a block makes of 2 x 2 values, a key of POOLINGS.
        average: Whether the linear layer gets the mean of each channel, and not all its values.
        shape: Shape of an image: [C, H, W], or [H, W] if it is grey; [F] is a square grey image.

    Raises:
        ValueError: The rows are not images, or too small for the number of blocks, or an option is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        channels: int | Sequence[int] = (8, 16),
        convolutions: int = 1,
        norm: str | None = None,
        pooling: str = "max",
        average: bool = False,
        shape: Sequence[int] = (),
    ) -> None:
        before, height, width = self.image_shape(in_features, shape)
        widths = [channels] if isinstance(channels, int) else list(channels)
        if min(height, width) >> len(widths) == 0:
            raise ValueError(f"channels={widths}: too many for an image of {height} x {width}, each halves its side")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        layers: list[nn.Module] = [nn.Unflatten(1, (before, height, width))]
        for after in widths:
            for _ in range(convolutions):
                layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), *self.make_norm(norm, after), nn.ReLU()]
                before = after
            layers.append(POOLINGS[pooling](2))
        values = before * (height >> len(widths)) * (width >> len(widths))
        if average:
            layers.append(nn.AdaptiveAvgPool2d(1))
            values = before
        super().__init__(*layers, nn.Flatten(), nn.Linear(values, out_features))

    @staticmethod
    def image_shape(in_features: int, shape: Sequence[int]) -> tuple[int, int, int]:
        """Return the channels, the height and the width of the images."""
        if len(shape) == 3:
            return shape[0], shape[1], shape[2]
        if len(shape) == 2:
            return 1, shape[0], shape[1]
        side = isqrt(in_features)
        if side * side != in_features:
            raise ValueError(
                f"in_features={in_features} is not a square number, so the rows are not images of side x side values"
            )
        return 1, side, side

    @staticmethod
    def make_norm(norm: str | None, channels: int) -> list[nn.Module]:
        """Return the normalisation of images with these channels, if there is one."""
        if norm is None:
            return []
        if norm not in ("batch", "layer"):
            raise ValueError(f"norm must be one of batch, layer, not {norm!r}")
        return [nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(1, channels)]
