"""Sums over examples with their count: they add up, whatever the batches' sizes, and are divided once, at the edge."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True)
class AccuracySum:
    """How many of the examples were classified right."""

    count: int
    correct: int

    names = ("accuracy",)

    @classmethod
    def of(cls, prediction: Tensor, truth: Tensor, sizes: Sequence[int]) -> "list[AccuracySum]":
        """Hits among class numbers [N], the first sizes[0] examples, the next sizes[1], and so on."""
        right = segment_sums((prediction == truth).cpu().numpy(), sizes, np.int64)
        return [cls(count, correct) for count, correct in zip(sizes, right.tolist(), strict=True)]

    def __add__(self, other: Self) -> "AccuracySum":
        return AccuracySum(self.count + other.count, self.correct + other.correct)

    def values(self) -> dict[str, float]:
        return {"accuracy": self.correct / self.count}


@dataclass(frozen=True)
class SquaredErrorSum:
    """How far predicted values [N, K] were from true ones: K squares, each summed over the examples.

    `variance`, K too, is that of the true values in the whole split that the examples are from: within a batch or two
    it would be noise.
    """

    count: int
    squared_error: tuple[float, ...]
    variance: tuple[float, ...]

    names = ("rmse", "r2")

    @classmethod
    def of(
        cls, output: Tensor, target: Tensor, sizes: Sequence[int], variance: tuple[float, ...]
    ) -> "list[SquaredErrorSum]":
        """Residuals of outputs [N, K] from targets [N, K]: of the first sizes[0] examples, the next sizes[1], ..."""
        squares = segment_sums((output - target).square_().cpu().numpy(), sizes, np.float64)
        return [cls(count, tuple(square), variance) for count, square in zip(sizes, squares.tolist(), strict=True)]

    def __add__(self, other: Self) -> "SquaredErrorSum":
        squared_error = tuple(a + b for a, b in zip(self.squared_error, other.squared_error, strict=True))
        return SquaredErrorSum(self.count + other.count, squared_error, self.variance)

    def values(self) -> dict[str, float]:
        """Root mean squared error over all outputs, and R^2 averaged over them; no R^2 where a target does not vary."""
        means = [total / self.count for total in self.squared_error]
        values = {"rmse": math.sqrt(fmean(means))}
        if all(self.variance):
            values["r2"] = fmean(1 - mean / variance for mean, variance in zip(means, self.variance, strict=True))
        return values


def segment_sums(values: npt.NDArray[Any], sizes: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Sums over the first sizes[0] rows of [N, ...], the next sizes[1], and so on, none 0: [len(sizes), ...]."""
    starts = [0, *accumulate(sizes[:-1])]
    return np.add.reduceat(values, starts, axis=0, dtype=dtype)


@dataclass(frozen=True)
class MetricSums:
    """The loss and the score of `count` examples, summed."""

    count: int
    loss_sum: float
    score: AccuracySum | SquaredErrorSum

    def __add__(self, other: Self) -> "MetricSums":
        return MetricSums(self.count + other.count, self.loss_sum + other.loss_sum, _sum(self.score, other.score))

    @property
    def loss(self) -> float:
        """Mean loss of an example."""
        return self.loss_sum / self.count

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "MetricSums":
        """The metrics that `dataclasses.asdict` turned into plain values."""
        score = AccuracySum(**state["score"]) if "correct" in state["score"] else SquaredErrorSum(**state["score"])
        return cls(state["count"], state["loss_sum"], score)

    def values(self) -> dict[str, float]:
        """Every metric by name, the loss first."""
        return {"loss": self.loss, **self.score.values()}


def _sum(a: AccuracySum | SquaredErrorSum, b: AccuracySum | SquaredErrorSum) -> AccuracySum | SquaredErrorSum:
    if isinstance(a, AccuracySum):
        assert isinstance(b, AccuracySum)
        return a + b
    assert isinstance(b, SquaredErrorSum)
    return a + b
