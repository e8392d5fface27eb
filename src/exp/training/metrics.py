"""Metrics as sums over examples and a count: sums of batches of any size add up, and are divided once, at the end.

Examples may have weights; then the count is the sum of their weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import fmean
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True)
class AccuracySum:
    """The number of correctly classified examples among `count`, or the weights of both."""

    count: float
    correct: float

    names = ("accuracy",)

    @classmethod
    def of_segments(
        cls, prediction: Tensor, truth: Tensor, sizes: Sequence[int], weights: Tensor | None = None
    ) -> "list[AccuracySum]":
        """Compare class numbers [N] with `weights` [N]: one result for the first sizes[0] examples, and so on."""
        is_correct = (prediction == truth).cpu().numpy()
        if weights is None:
            counts, correct = sizes, segment_sums(is_correct, sizes, np.int64).tolist()
        else:
            of_row = weights.double().cpu().numpy()
            counts, correct = (
                total_weights(weights, sizes),
                segment_sums(is_correct * of_row, sizes, np.float64).tolist(),
            )
        return [cls(count, total) for count, total in zip(counts, correct, strict=True)]

    def __add__(self, other: Self) -> "AccuracySum":
        return AccuracySum(self.count + other.count, self.correct + other.correct)

    def values(self) -> dict[str, float]:
        return {"accuracy": self.correct / self.count}


@dataclass(frozen=True)
class LabelSum:
    """The correct labels of `count` examples, or their weights: the mean over the K labels, and of all K at once."""

    count: float
    labels: float
    subsets: float

    names = ("label_accuracy", "subset_accuracy")

    @classmethod
    def of_segments(
        cls, prediction: Tensor, truth: Tensor, sizes: Sequence[int], weights: Tensor | None = None
    ) -> "list[LabelSum]":
        """Compare labels [N, K] with `weights` [N]: one result for the first sizes[0] examples, and so on."""
        is_correct = (prediction == truth).cpu().numpy()
        both = np.stack([is_correct.mean(axis=1), is_correct.all(axis=1)], axis=1)
        if weights is not None:
            both = both * weights.double().cpu().numpy()[:, None]
        counts = sizes if weights is None else total_weights(weights, sizes)
        sums = segment_sums(both, sizes, np.float64).tolist()
        return [cls(count, labels, subsets) for count, (labels, subsets) in zip(counts, sums, strict=True)]

    def __add__(self, other: Self) -> "LabelSum":
        return LabelSum(self.count + other.count, self.labels + other.labels, self.subsets + other.subsets)

    def values(self) -> dict[str, float]:
        return {"label_accuracy": self.labels / self.count, "subset_accuracy": self.subsets / self.count}


@dataclass(frozen=True)
class SquaredErrorSum:
    """The squared errors of predicted values [N, K], summed over N = `count` examples: K sums, perhaps weighted.

    Args:
        variance: The K variances of the true values in the whole split. Those of a few batches would be noise.
    """

    count: float
    squared_error: tuple[float, ...]
    variance: tuple[float, ...]

    names = ("rmse", "r2")

    @classmethod
    def of_segments(
        cls,
        output: Tensor,
        target: Tensor,
        sizes: Sequence[int],
        variance: tuple[float, ...],
        units: Sequence[float] | None = None,
        weights: Tensor | None = None,
    ) -> "list[SquaredErrorSum]":
        """Compare outputs [N, K] with targets [N, K]: one result for the first sizes[0] examples, and so on.

        Args:
            units: For each of the K, what an error of 1 is in the unit of its variance; None: 1.
            weights: Those of the examples [N]; None: all weigh 1.
        """
        errors = (output - target).square_().cpu()
        if weights is not None:
            errors = errors.double() * weights.double().cpu().unsqueeze(1)
        squares = segment_sums(errors.numpy(), sizes, np.float64)
        if units is not None:
            squares *= np.square(units)
        counts = sizes if weights is None else total_weights(weights, sizes)
        return [cls(count, tuple(square), variance) for count, square in zip(counts, squares.tolist(), strict=True)]

    def __add__(self, other: Self) -> "SquaredErrorSum":
        squared_error = tuple(a + b for a, b in zip(self.squared_error, other.squared_error, strict=True))
        return SquaredErrorSum(self.count + other.count, squared_error, self.variance)

    def values(self) -> dict[str, float]:
        """Return RMSE over all outputs, and R^2 averaged over them; no R^2 if one of the targets is constant."""
        means = [total / self.count for total in self.squared_error]
        values = {"rmse": math.sqrt(fmean(means))}
        if all(self.variance):
            values["r2"] = fmean(1 - mean / variance for mean, variance in zip(means, self.variance, strict=True))
        return values


Score: TypeAlias = AccuracySum | LabelSum | SquaredErrorSum


def segment_sums(values: npt.NDArray[Any], sizes: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Sum over the first sizes[0] > 0 rows of [N, ...], the next sizes[1], and so on; return [len(sizes), ...]."""
    starts = [0, *accumulate(sizes[:-1])]
    return np.add.reduceat(values, starts, axis=0, dtype=dtype)


def total_weights(weights: Tensor, sizes: Sequence[int]) -> list[float]:
    """Return the sum of the first sizes[0] > 0 weights of [N], of the next sizes[1], and so on."""
    return segment_sums(weights.cpu().numpy(), sizes, np.float64).tolist()


@dataclass(frozen=True)
class MetricSums:
    """The metrics of some rows, as sums that add up: `a + b` has those of the rows of both.

    Attributes:
        count: The number of rows.
        loss_sum: The sum of their losses.
        score: The sums of accuracy, or of squared errors.
        weight: The total weight of the rows in the loss; None: their number.
        chosen: Other metrics of exactly these rows by name; a sum with other rows has none.
    """

    count: int
    loss_sum: float
    score: Score
    weight: float | None = None
    chosen: Mapping[str, float] = field(default_factory=dict[str, float])

    def __add__(self, other: Self) -> "MetricSums":
        weight = None if self.weight is None or other.weight is None else self.weight + other.weight
        count, loss_sum = self.count + other.count, self.loss_sum + other.loss_sum
        return MetricSums(count, loss_sum, _add(self.score, other.score), weight)

    @property
    def loss(self) -> float:
        """The (weighted) mean loss of an example."""
        return self.loss_sum / (self.count if self.weight is None else self.weight)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "MetricSums":
        """Restore what `dataclasses.asdict` made of a MetricSums."""
        score = content["score"]
        kind = AccuracySum if "correct" in score else LabelSum if "labels" in score else SquaredErrorSum
        return cls(content["count"], content["loss_sum"], kind(**score), content.get("weight"))

    def values(self) -> dict[str, float]:
        """Return every metric by name, the loss first."""
        return {"loss": self.loss, **self.score.values(), **self.chosen}


def _add(a: Score, b: Score) -> Score:
    if isinstance(a, AccuracySum):
        assert isinstance(b, AccuracySum)
        return a + b
    if isinstance(a, LabelSum):
        assert isinstance(b, LabelSum)
        return a + b
    assert isinstance(b, SquaredErrorSum)
    return a + b
