"""Sums over examples with their count: they add up, whatever the batches' sizes, and are divided once, at the edge."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Hits:
    """How many of the examples were classified right."""

    count: int
    correct: int

    names = ("accuracy",)

    @classmethod
    def of(cls, prediction: Tensor, truth: Tensor, sizes: Sequence[int]) -> "list[Hits]":
        """Hits among class numbers [N], the first sizes[0] examples, the next sizes[1], and so on."""
        right = _sums(prediction == truth, sizes).cpu()
        return [cls(count, int(correct)) for count, correct in zip(sizes, right, strict=True)]

    def __add__(self, other: Self) -> "Hits":
        return Hits(self.count + other.count, self.correct + other.correct)

    def values(self) -> dict[str, float]:
        return {"accuracy": self.correct / self.count}


@dataclass(frozen=True, eq=False)
class Residuals:
    """How far predicted values [N, K] were from true ones: sums over the examples, float64 [K] each."""

    count: int
    squared_error: Tensor
    target: Tensor
    target_squared: Tensor

    names = ("rmse", "r2")

    @classmethod
    def of(cls, output: Tensor, target: Tensor, sizes: Sequence[int]) -> "list[Residuals]":
        """Residuals of outputs [N, K] from targets [N, K]: of the first sizes[0] examples, the next sizes[1], ..."""
        # On the CPU first: Apple's GPUs have no float64.
        output, target = output.cpu().double(), target.cpu().double()
        sums = (_sums(values, sizes) for values in ((output - target).square(), target, target.square()))
        return [cls(*parts) for parts in zip(sizes, *sums, strict=True)]

    def __add__(self, other: Self) -> "Residuals":
        return Residuals(
            self.count + other.count,
            self.squared_error + other.squared_error,
            self.target + other.target,
            self.target_squared + other.target_squared,
        )

    def values(self) -> dict[str, float]:
        """Root mean squared error over all outputs, and R^2 averaged over them; no R^2 where a target does not vary."""
        values = {"rmse": math.sqrt(float(self.squared_error.mean()) / self.count)}
        variation = self.target_squared - self.target.square() / self.count
        # Rounding leaves a constant target a variation of about 1e-16 of its squares.
        if bool((variation > 1e-12 * self.target_squared).all()):
            values["r2"] = float(torch.mean(1 - self.squared_error / variation))
        return values


def _sums(values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sums over the first sizes[0] rows, the next sizes[1], and so on: [len(sizes), ...]."""
    return torch.stack([part.sum(0) for part in torch.split(values, list(sizes))])


@dataclass(frozen=True)
class Measures:
    """The loss and the score of `count` examples, summed."""

    count: int
    loss_sum: float
    score: Hits | Residuals

    def __add__(self, other: Self) -> "Measures":
        return Measures(self.count + other.count, self.loss_sum + other.loss_sum, _sum(self.score, other.score))

    @property
    def loss(self) -> float:
        """Mean loss of an example."""
        return self.loss_sum / self.count

    def values(self) -> dict[str, float]:
        """Every measure by name, the loss first."""
        return {"loss": self.loss, **self.score.values()}


def _sum(a: Hits | Residuals, b: Hits | Residuals) -> Hits | Residuals:
    if isinstance(a, Hits):
        assert isinstance(b, Hits)
        return a + b
    assert isinstance(b, Residuals)
    return a + b
