"""Metrics as sums over examples and a count: sums of batches of any size add up, and are divided once, at the end.

Examples may have weights; then the count is the sum of their weights. Sums are numbers, or columns of them: arrays [n]
with one for each of n windows of rows. They are made many times in a run, so they have slots and are not frozen.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product
from operator import itemgetter
from statistics import fmean
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

Column: TypeAlias = npt.NDArray[np.float64]

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Numbers = TypeVar("Numbers", float, Column, default=float)
else:
    from typing import TypeVar

    Numbers = TypeVar("Numbers")


@dataclass(slots=True)
class AccuracySum(Generic[Numbers]):
    """The number of correctly classified examples among `count`, or the weights of both."""

    count: Numbers
    correct: Numbers

    names = ("accuracy",)

    @staticmethod
    def of_segments(
        prediction: Tensor, truth: Tensor, sizes: Sequence[int], weights: Tensor | None = None
    ) -> "AccuracySum[Column]":
        """Compare class numbers [N] with `weights` [N]: columns of the first sizes[0] examples, and so on."""
        is_correct = (prediction == truth).cpu().numpy()
        if weights is None:
            return AccuracySum(_column(sizes), _column(segment_sums(is_correct, sizes, np.int64)))
        weighted = is_correct * weights.double().cpu().numpy()
        return AccuracySum(total_weights(weights, sizes), segment_sums(weighted, sizes, np.float64))

    @property
    def parts(self) -> tuple[Numbers, ...]:
        return self.count, self.correct

    def map(self, change: Callable[[Numbers], Any]) -> "AccuracySum[Any]":
        return AccuracySum(change(self.count), change(self.correct))

    def values(self) -> dict[str, Numbers]:
        return {"accuracy": self.correct / self.count}


@dataclass(slots=True)
class LabelSum(Generic[Numbers]):
    """The correct labels of `count` examples, or their weights: the mean over the K labels, and of all K at once."""

    count: Numbers
    labels: Numbers
    subsets: Numbers

    names = ("label_accuracy", "subset_accuracy")

    @staticmethod
    def of_segments(
        prediction: Tensor, truth: Tensor, sizes: Sequence[int], weights: Tensor | None = None
    ) -> "LabelSum[Column]":
        """Compare labels [N, K] with `weights` [N]: columns of the first sizes[0] examples, and so on."""
        is_correct = (prediction == truth).cpu().numpy()
        both = np.stack([is_correct.mean(axis=1), is_correct.all(axis=1)], axis=1)
        if weights is not None:
            both = both * weights.double().cpu().numpy()[:, None]
        counts = _column(sizes) if weights is None else total_weights(weights, sizes)
        return LabelSum(counts, *segment_sums(both, sizes, np.float64).T)

    @property
    def parts(self) -> tuple[Numbers, ...]:
        return self.count, self.labels, self.subsets

    def map(self, change: Callable[[Numbers], Any]) -> "LabelSum[Any]":
        return LabelSum(change(self.count), change(self.labels), change(self.subsets))

    def values(self) -> dict[str, Numbers]:
        return {"label_accuracy": self.labels / self.count, "subset_accuracy": self.subsets / self.count}


@dataclass(slots=True)
class SquaredErrorSum(Generic[Numbers]):
    """The squared errors of predicted values [N, K], summed over N = `count` examples: K sums, perhaps weighted.

    Args:
        variance: The K variances of the true values in the whole split. Those of a few batches would be noise.
    """

    count: Numbers
    squared_error: tuple[Numbers, ...]
    variance: tuple[float, ...]

    names = ("rmse", "r2")

    @staticmethod
    def of_segments(
        output: Tensor,
        target: Tensor,
        sizes: Sequence[int],
        variance: tuple[float, ...],
        units: Sequence[float] | None = None,
        weights: Tensor | None = None,
    ) -> "SquaredErrorSum[Column]":
        """Compare outputs [N, K] with targets [N, K]: columns of the first sizes[0] examples, and so on.

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
        counts = _column(sizes) if weights is None else total_weights(weights, sizes)
        return SquaredErrorSum(counts, tuple(squares.T), variance)

    @property
    def parts(self) -> tuple[Numbers, ...]:
        return self.count, *self.squared_error

    def map(self, change: Callable[[Numbers], Any]) -> "SquaredErrorSum[Any]":
        return SquaredErrorSum(change(self.count), tuple(map(change, self.squared_error)), self.variance)

    def values(self) -> dict[str, Numbers]:
        """Return RMSE over all outputs, and R^2 averaged over them; no R^2 if one of the targets is constant."""
        means = [total / self.count for total in self.squared_error]
        values = {"rmse": _square_root(_mean(means))}
        if all(self.variance):
            values["r2"] = _mean([1 - mean / variance for mean, variance in zip(means, self.variance, strict=True)])
        return values


Score: TypeAlias = AccuracySum[Numbers] | LabelSum[Numbers] | SquaredErrorSum[Numbers]


def segment_sums(values: npt.NDArray[Any], sizes: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Sum over the first sizes[0] > 0 rows of [N, ...], the next sizes[1], and so on; return [len(sizes), ...]."""
    starts = [0, *accumulate(sizes[:-1])]
    return np.add.reduceat(values, starts, axis=0, dtype=dtype)


def total_weights(weights: Tensor, sizes: Sequence[int]) -> Column:
    """Return the sum of the first sizes[0] > 0 weights of [N], of the next sizes[1], and so on."""
    return segment_sums(weights.cpu().numpy(), sizes, np.float64)


def first_window(score: Score[Column]) -> Score:
    """Return the sums of the first window as numbers."""
    return score.map(lambda column: float(column[0]))


def _column(numbers: npt.ArrayLike) -> Column:
    return np.asarray(numbers, dtype=np.float64)


def _square_root(value: Any) -> Any:
    return math.sqrt(value) if isinstance(value, float) else np.sqrt(value)


def _mean(values: Sequence[Any]) -> Any:
    """Return the mean of K numbers, or of K columns row by row, rounded once."""
    if len(values) == 1:
        return values[0]
    return fmean(values) if isinstance(values[0], float) else _column([*map(fmean, zip(*values, strict=True))])


@dataclass(slots=True)
class MetricSums(Generic[Numbers]):
    """The metrics of some rows, as sums that add up.

    Attributes:
        count: The number of rows.
        loss_sum: The sum of their losses.
        score: The sums of accuracy, or of squared errors.
        weight: The total weight of the rows in the loss; None: their number.
        chosen: Other metrics of exactly these rows by name; a sum with other rows has none.
    """

    count: Numbers
    loss_sum: Numbers
    score: "Score[Numbers]"
    weight: Numbers | None = None
    chosen: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def parts(self) -> tuple[Numbers, ...]:
        return self.count, self.loss_sum, *self.score.parts, *([] if self.weight is None else [self.weight])

    def add_to_first(self: "MetricSums[Column]", before: "MetricSums[Column]") -> None:
        """Add the sums of one window, whose rows come before, to those of the first window, in place."""
        for column, sums in zip(self.parts, before.parts, strict=True):
            column[0] += sums[0]

    def add_up(self: "MetricSums[Column]", indices: Iterable[int]) -> None:
        """Add the sums of the window at each index to those of the next one, in place and in order."""
        for index, column in product(indices, self.parts):
            column[index + 1] += column[index]

    def __getitem__(self: "MetricSums[Column]", part: slice | Sequence[int]) -> "MetricSums[Column]":
        """Return some of the windows."""
        return self._map(itemgetter(part))

    def window(self: "MetricSums[Column]", index: int) -> "MetricSums":
        """Return the sums of one window as numbers."""
        return self._map(lambda column: float(column[index]))

    def as_window(self: "MetricSums") -> "MetricSums[Column]":
        """Return the numbers as the columns of one window."""
        return self._map(lambda number: np.array([number], dtype=np.float64))

    def _map(self, change: Callable[[Numbers], Any]) -> "MetricSums[Any]":
        weight = None if self.weight is None else change(self.weight)
        return MetricSums(change(self.count), change(self.loss_sum), self.score.map(change), weight)

    @property
    def loss(self) -> Numbers:
        """The (weighted) mean loss of an example."""
        return self.loss_sum / (self.count if self.weight is None else self.weight)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "MetricSums":
        """Restore what `dataclasses.asdict` made of a MetricSums."""
        score = content["score"]
        kind = AccuracySum if "correct" in score else LabelSum if "labels" in score else SquaredErrorSum
        return MetricSums(content["count"], content["loss_sum"], kind(**score), content.get("weight"))

    def values(self) -> dict[str, Numbers]:
        """Return every metric by name, the loss first."""
        return {"loss": self.loss, **self.score.values(), **cast("Mapping[str, Numbers]", self.chosen)}

    def columns(self: "MetricSums[Column]") -> dict[str, list[float]]:
        """Return every metric by name, with a number for each window."""
        with np.errstate(all="ignore"):  # as with numbers, what is too large is infinite, without a warning
            return {name: column.tolist() for name, column in self.values().items()}
