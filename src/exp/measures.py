"""Sums over examples with their count: they add up, whatever the batches' sizes, and are divided once, at the edge."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """How many of the examples were classified right."""

    count: int
    correct: int

    names = ("accuracy",)

    @classmethod
    def of(cls, prediction: Tensor, truth: Tensor, sizes: Sequence[int]) -> "list[Hits]":
        """Hits among class numbers [N], the first sizes[0] examples, the next sizes[1], and so on."""
        right = sums((prediction == truth).cpu().numpy(), sizes, np.int64)
        return [cls(count, correct) for count, correct in zip(sizes, right.tolist(), strict=True)]

    def __add__(self, other: Self) -> "Hits":
        return Hits(self.count + other.count, self.correct + other.correct)

    def values(self) -> dict[str, float]:
        return {"accuracy": self.correct / self.count}


@dataclass(frozen=True, eq=False)
class Residuals:
    """How far predicted values [N, K] were from true ones: squares summed over the examples, float64 [K].

    `variance`, float64 [K], is that of the true values in the whole split that the examples are from: within a batch
    or two it would be noise.
    """

    count: int
    squared_error: Array
    variance: Array

    names = ("rmse", "r2")

    @classmethod
    def of(cls, output: Tensor, target: Tensor, sizes: Sequence[int], variance: Array) -> "list[Residuals]":
        """Residuals of outputs [N, K] from targets [N, K]: of the first sizes[0] examples, the next sizes[1], ..."""
        squares = sums((output - target).square().cpu().numpy(), sizes, np.float64)
        return [cls(count, square, variance) for count, square in zip(sizes, squares, strict=True)]

    def __add__(self, other: Self) -> "Residuals":
        return Residuals(self.count + other.count, self.squared_error + other.squared_error, self.variance)

    def values(self) -> dict[str, float]:
        """Root mean squared error over all outputs, and R^2 averaged over them; no R^2 where a target does not vary."""
        mean = self.squared_error / self.count
        values = {"rmse": math.sqrt(mean.mean())}
        if self.variance.all():
            values["r2"] = float((1 - mean / self.variance).mean())
        return values


def sums(values: npt.NDArray[Any], sizes: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Sums over the first sizes[0] rows of [N, ...], the next sizes[1], and so on, none 0: [len(sizes), ...]."""
    starts = [0, *accumulate(sizes[:-1])]
    return np.add.reduceat(values, starts, axis=0, dtype=dtype)


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
