"""Metrics of several labels that are 0 or 1, over all rows of a split at once, as scikit-learn defines them.

They are computed in float64. None stands for what the rows do not define, such as the AUC of a label that is always 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats
from exp.training import class_metrics
from exp.training.class_metrics import ClassRows


@dataclass(frozen=True)
class LabelRows:
    """N rows: true and predicted labels [N, K], probabilities [N, K], and weights [N] (None: all weigh 1)."""

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: Floats
    weights: Floats | None = None

    @cached_property
    def of_label(self) -> list[ClassRows]:
        """The rows of each of the K labels, as classes 0 and 1."""
        columns = zip(self.truth.T, self.predicted.T, self.probabilities.T, strict=True)
        return [
            ClassRows(truth, predicted, np.stack([1 - one, one], axis=1), self.weights)
            for truth, predicted, one in columns
        ]

    @cached_property
    def totals(self) -> Floats:
        """The weight of the rows that have each label [K]."""
        return np.array([rows.confusion[1].sum() for rows in self.of_label])


def label_accuracy(rows: LabelRows) -> float:
    """Return the share of labels that are right."""
    return float(np.average((rows.predicted == rows.truth).mean(axis=1), weights=rows.weights))


def hamming_loss(rows: LabelRows) -> float:
    """Return the share of labels that are wrong."""
    return 1 - label_accuracy(rows)


def subset_accuracy(rows: LabelRows) -> float:
    """Return the share of rows of which all labels are right."""
    return float(np.average((rows.predicted == rows.truth).all(axis=1), weights=rows.weights))


OF_ONE: dict[str, Callable[[ClassRows], float | None]] = {
    "accuracy": class_metrics.accuracy,
    "f1": lambda rows: float(rows.f1[1]),
    "precision": lambda rows: float(rows.precision[1]),
    "recall": lambda rows: float(rows.recall[1]),
    "auc": class_metrics.auc,
    "average_precision": class_metrics.average_precision,
}


def mean(name: str) -> Callable[[LabelRows], float | None]:
    """Return a metric that is the mean of the metric `name` of the labels that define it."""

    def metric(rows: LabelRows) -> float | None:
        defined = [value for one in rows.of_label if (value := OF_ONE[name](one)) is not None]
        return float(np.mean(defined)) if defined else None

    return metric


def weighted_mean(name: str) -> Callable[[LabelRows], float | None]:
    """Return a metric that is the mean of the metric `name` of the labels, weighted by the rows that have them."""

    def metric(rows: LabelRows) -> float | None:
        values = [float(OF_ONE[name](one) or 0.0) for one in rows.of_label]
        return float(np.average(values, weights=rows.totals)) if rows.totals.any() else None

    return metric


METRICS: dict[str, Callable[[LabelRows], float | None]] = {
    "error": hamming_loss,
    "label_accuracy": label_accuracy,
    "subset_accuracy": subset_accuracy,
    "hamming_loss": hamming_loss,
    **{name: mean(name) for name in ("f1", "precision", "recall", "auc", "average_precision")},
    **{f"weighted_{name}": weighted_mean(name) for name in ("f1", "precision", "recall")},
}
