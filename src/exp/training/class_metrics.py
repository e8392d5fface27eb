"""Metrics of predicted classes, over all rows of a split at once, as scikit-learn defines them.

They are computed in float64. None stands for what the rows do not define, such as the AUC of rows of one class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats

_BINS = 10


@dataclass(frozen=True)
class ClassRows:
    """N rows: true and predicted class numbers [N], probabilities [N, K], and weights [N] (None: all weigh 1)."""

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: Floats
    weights: Floats | None = None

    @cached_property
    def weight(self) -> Floats:
        return np.ones(len(self.truth)) if self.weights is None else self.weights

    @cached_property
    def confusion(self) -> Floats:
        """The total weights [K, K] by true and by predicted class."""
        count = self.probabilities.shape[1]
        cells = np.bincount(self.truth * count + self.predicted, self.weight, count * count)
        return cells.reshape(count, count).astype(np.float64)

    @cached_property
    def has_class(self) -> NDArray[np.bool_]:
        """Whether each class [K] is true or predicted in a row; the others have no precision, recall or F1."""
        return (self.confusion.sum(0) + self.confusion.sum(1)) > 0

    @cached_property
    def precision(self) -> Floats:
        return _divide(self.confusion.diagonal(), self.confusion.sum(0))

    @cached_property
    def recall(self) -> Floats:
        return _divide(self.confusion.diagonal(), self.confusion.sum(1))

    @cached_property
    def f1(self) -> Floats:
        return _divide(2 * self.confusion.diagonal(), self.confusion.sum(0) + self.confusion.sum(1))

    @cached_property
    def log_probabilities(self) -> Floats:
        """[N]: of the true class, limited as in scikit-learn to what float64 tells apart from 0 and 1."""
        epsilon = np.finfo(np.float64).eps
        return np.log(np.clip(self.probabilities[np.arange(len(self.truth)), self.truth], epsilon, 1 - epsilon))


def accuracy(rows: ClassRows) -> float:
    return float(np.average(rows.predicted == rows.truth, weights=rows.weights))


def error(rows: ClassRows) -> float:
    """Return the share of wrong classes."""
    return 1 - accuracy(rows)


def balanced_accuracy(rows: ClassRows) -> float:
    """Return the mean recall of the classes that have rows."""
    return float(rows.recall[rows.confusion.sum(1) > 0].mean())


def precision(rows: ClassRows) -> float:
    return float(rows.precision[rows.has_class].mean())


def recall(rows: ClassRows) -> float:
    return float(rows.recall[rows.has_class].mean())


def f1(rows: ClassRows) -> float:
    return float(rows.f1[rows.has_class].mean())


def weighted_precision(rows: ClassRows) -> float:
    return float(np.average(rows.precision, weights=rows.confusion.sum(1)))


def weighted_recall(rows: ClassRows) -> float:
    return float(np.average(rows.recall, weights=rows.confusion.sum(1)))


def weighted_f1(rows: ClassRows) -> float:
    """Return the mean F1 of the classes, weighted by their true rows."""
    return float(np.average(rows.f1, weights=rows.confusion.sum(1)))


def mcc(rows: ClassRows) -> float:
    """Return Matthews' correlation coefficient; 0 if only one class is true, or only one is predicted."""
    true, predicted, total = rows.confusion.sum(1), rows.confusion.sum(0), float(rows.confusion.sum())
    if min(np.count_nonzero(true), np.count_nonzero(predicted)) < 2:
        return 0.0
    covariance = rows.confusion.trace() * total - true @ predicted
    variances = (total**2 - predicted @ predicted) * (total**2 - true @ true)
    return float(covariance / np.sqrt(variances))


def auc(rows: ClassRows) -> float | None:
    """Return the area under the ROC curve: of the second of two classes, or the mean of each class against the rest."""
    return _mean_of_classes(rows, _area)


def average_precision(rows: ClassRows) -> float | None:
    """Return the average precision, of the same classes as `auc`."""
    return _mean_of_classes(rows, _average_precision)


def log_loss(rows: ClassRows) -> float:
    return -float(np.average(rows.log_probabilities, weights=rows.weights))


def brier(rows: ClassRows) -> float:
    """Return the mean squared error of the probabilities: of one of two classes, or the sum over more classes."""
    errors = rows.probabilities.copy()
    errors[np.arange(len(errors)), rows.truth] -= 1
    total = float(np.average(np.square(errors).sum(1), weights=rows.weights))
    return total / 2 if errors.shape[1] == 2 else total


def ece(rows: ClassRows) -> float:
    """Return the expected calibration error of the predicted class in ten equal bins (Guo et al. 2017)."""
    sure = rows.probabilities[np.arange(len(rows.truth)), rows.predicted]
    bins = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, rows.weight * (sure - (rows.predicted == rows.truth)), _BINS)
    return float(np.abs(gaps).sum() / rows.weight.sum())


def _divide(shares: Floats, totals: Floats) -> Floats:
    return np.divide(shares, totals, out=np.zeros(len(totals)), where=totals > 0)


def _mean_of_classes(
    rows: ClassRows, metric: Callable[[NDArray[np.bool_], Floats, Floats], float | None]
) -> float | None:
    count = rows.probabilities.shape[1]
    numbers = [1] if count == 2 else range(count)
    values = [metric(rows.truth == number, rows.probabilities[:, number], rows.weight) for number in numbers]
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _area(is_class: NDArray[np.bool_], score: Floats, weight: Floats) -> float | None:
    positives, totals = _cumulate(is_class, score, weight)
    negatives = totals - positives
    if positives[-1] <= 0 or negatives[-1] <= 0:
        return None
    true, false = np.append(0.0, positives / positives[-1]), np.append(0.0, negatives / negatives[-1])
    return float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())


def _average_precision(is_class: NDArray[np.bool_], score: Floats, weight: Floats) -> float | None:
    positives, totals = _cumulate(is_class, score, weight)
    if positives[-1] <= 0:
        return None
    precisions = _divide(positives, totals)
    return float((np.diff(positives, prepend=0.0) * precisions).sum() / positives[-1])


def _cumulate(is_class: NDArray[np.bool_], score: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the weights of the positive rows, and of all, at or above each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    in_order = score[order]
    last = np.flatnonzero(np.append(in_order[1:] != in_order[:-1], True))
    return np.cumsum((weight * is_class)[order])[last], np.cumsum(weight[order])[last]
