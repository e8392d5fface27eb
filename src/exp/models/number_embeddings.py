"""Embeddings of numbers: each of n numbers becomes `dim` values, with parameters of its own."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

_LARGEST = torch.finfo(torch.float32).max


def _draw_uniform(shape: tuple[int, ...], bound: float) -> Tensor:
    """Return random numbers between -bound and bound."""
    return (torch.rand(shape) * 2 - 1) * bound


class PBLD(nn.Module):
    """cos(2 pi x frequency + phase) projection + offset, and the number x itself, as in RealMLP-TD.

    Args:
        numbers: n, for inputs [B, n] and outputs [B, n, dim].
        dim: Values for each number.
        frequencies: Cosines for each number.
        sigma: Standard deviation of the initial frequencies.
    """

    def __init__(self, numbers: int, dim: int = 4, frequencies: int = 16, sigma: float = 0.1) -> None:
        super().__init__()
        self.dim = dim
        self.frequency = nn.Parameter(torch.randn(numbers, 1, frequencies) * sigma)
        self.phase = nn.Parameter(_draw_uniform((numbers, 1, frequencies), math.pi))
        bound = 1 / math.sqrt(frequencies)
        self.projection = nn.Parameter(_draw_uniform((numbers, frequencies, dim - 1), bound))
        self.offset = nn.Parameter(_draw_uniform((numbers, 1, dim - 1), bound))

    def forward(self, x: Tensor) -> Tensor:
        column = x.t().unsqueeze(2)  # [n, B, 1]
        waves = torch.cos(column * self.frequency * (2 * math.pi) + self.phase)
        embedded = torch.baddbmm(self.offset, waves, self.projection)
        return torch.cat([embedded, column], dim=2).transpose(0, 1)


class Periodic(nn.Module):
    """relu([cos, sin](2 pi x frequency) projection + offset), "PLR" of Gorishniy et al. 2022.

    Args:
        numbers: n, for inputs [B, n] and outputs [B, n, dim].
        dim: Values for each number.
        frequencies: Frequencies for each number.
        sigma: Standard deviation of the initial frequencies.
    """

    def __init__(self, numbers: int, dim: int = 24, frequencies: int = 48, sigma: float = 0.01) -> None:
        super().__init__()
        self.dim = dim
        self.frequency = nn.Parameter(torch.randn(numbers, 1, frequencies) * sigma)
        bound = 1 / math.sqrt(2 * frequencies)
        self.projection = nn.Parameter(_draw_uniform((numbers, 2 * frequencies, dim), bound))
        self.offset = nn.Parameter(_draw_uniform((numbers, 1, dim), bound))

    def forward(self, x: Tensor) -> Tensor:
        angle = x.t().unsqueeze(2) * self.frequency * (2 * math.pi)
        waves = torch.cat([torch.cos(angle), torch.sin(angle)], dim=2)
        return torch.relu(torch.baddbmm(self.offset, waves, self.projection)).transpose(0, 1)


class Piecewise(nn.Module):
    """x weight + bias + e(x) projection, with e(x) the parts of each bin of the number that lie below x.

    The bins have the quantiles of the training rows as edges (Gorishniy et al. 2022, version B of their package); the
    first and the last one have no end. At first the projection is 0.

    Args:
        numbers: n, for inputs [B, n] and outputs [B, n, dim].
        dim: Values for each number.
        bins: The largest number of bins.
    """

    left: Tensor
    width: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, numbers: int, dim: int = 16, bins: int = 48) -> None:
        super().__init__()
        self.dim, self.bins = dim, bins
        bound = 1 / math.sqrt(dim)
        self.weight = nn.Parameter(_draw_uniform((numbers, dim), bound))
        self.bias = nn.Parameter(_draw_uniform((numbers, dim), bound))
        self.projection = nn.Parameter(torch.zeros(numbers, bins, dim))
        shape = (numbers, 1, bins)
        self.register_buffer("left", torch.zeros(shape))
        self.register_buffer("width", torch.ones(shape))
        # Limits of the part below x, both 0 for bins that a number does not have. Finite, because ema= averages them.
        self.register_buffer("lowest", torch.zeros(shape))
        self.register_buffer("highest", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        parts = ((x.t().unsqueeze(2) - self.left) / self.width).clamp(self.lowest, self.highest)
        embedded = torch.bmm(parts, self.projection).transpose(0, 1)
        return torch.addcmul(self.bias, x.unsqueeze(2), self.weight) + embedded

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set the bins by rows [N, n] of training."""
        bins = min(self.bins, max(1, len(x) - 1))
        with np.errstate(invalid="ignore"):  # infinite features are refused before training, with their names
            quantiles = np.quantile(x.cpu().double().numpy(), np.linspace(0, 1, bins + 1), axis=0).astype(np.float32)
        for number, edges in enumerate(torch.from_numpy(quantiles).t()):
            left, width = edges[:-1], edges.diff()
            count = int((width > 0).sum())
            self.left[number, 0, :count] = left[width > 0]
            self.width[number, 0, :count] = width[width > 0]
            self.highest[number, 0, :count] = 1
            if count > 0:
                self.lowest[number, 0, 0] = -_LARGEST
                self.highest[number, 0, count - 1] = _LARGEST


NUMBER_EMBEDDINGS: dict[str, Callable[[int], PBLD | Periodic | Piecewise]] = {
    "pbld": PBLD,
    "periodic": Periodic,
    "piecewise": Piecewise,
}
