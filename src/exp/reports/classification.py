"""Quality of a classifier: ranking curves, calibration of its probabilities, and scores by class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exp.data.preprocessing import Floats
from exp.data.splits import Split
from exp.training.objectives import Objective


@dataclass(frozen=True)
class Ranking:
    """ROC and precision-recall curves of a score: a point for each threshold, from no row to all N rows.

    Args:
        false: False positive rate.
        true: True positive rate, which is the recall.
        precision: Share of positives among the rows at or above the threshold.
        area: Area under the ROC curve.
        average: Average precision, without interpolation.
    """

    false: Floats
    true: Floats
    precision: Floats
    area: float
    average: float

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: Floats, weights: Floats | None = None) -> "Ranking":
        """Return the curves of rows [N], of which at least one is positive and one negative; None: all weigh 1."""
        order = np.argsort(-score, kind="stable")
        in_order = score[order]
        last = np.flatnonzero(np.append(in_order[1:] != in_order[:-1], True))  # row of each distinct score
        weight = np.ones(len(order)) if weights is None else weights[order]
        positives, totals = np.cumsum(weight * positive[order])[last], np.cumsum(weight)[last]
        false = np.concatenate([[0.0], (totals - positives) / (totals[-1] - positives[-1])])
        true = np.concatenate([[0.0], positives / positives[-1]])
        precision = np.concatenate([[1.0], positives / totals])
        area = float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())
        return cls(false, true, precision, area, float((np.diff(true) * precision[1:]).sum()))


@dataclass(frozen=True)
class Reliability:
    """Reliability of predicted probabilities in ten equal bins, without empty bins.

    Args:
        sure: Mean probability of the predicted class in each bin.
        right: Share of correct predictions in each bin.
        error: Expected calibration error: mean distance of the two, weighted by the bins' rows (Guo et al. 2017).
    """

    sure: Floats
    right: Floats
    error: float

    @classmethod
    def of(cls, sure: Floats, right: NDArray[np.bool_], weights: Floats | None = None) -> "Reliability":
        """Return the calibration of N predictions: their probabilities, and whether they are correct.

        Args:
            weights: Those of the rows [N]; None: all weigh 1.
        """
        bins, weight = np.minimum((sure * 10).astype(int), 9), np.ones(len(sure)) if weights is None else weights
        counts, sures, rights = (np.bincount(bins, weight * values, 10) for values in (1.0, sure, right))
        filled = counts > 0
        return cls(
            sures[filled] / counts[filled],
            rights[filled] / counts[filled],
            float(np.abs(sures - rights).sum() / weight.sum()),
        )


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one class, and its number of rows."""

    name: str
    precision: float
    recall: float
    f1: float
    rows: int


def scores_by_class(classes: tuple[str, ...], counts: NDArray[np.int64]) -> list[ClassScores]:
    """Return the scores of each class, by the confusion matrix; NaN where a score is undefined."""
    right, rows, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = right / predicted, right / rows, 2 * right / (rows + predicted)
    return [
        ClassScores(name, float(precision[number]), float(recall[number]), float(f1[number]), int(rows[number]))
        for number, name in enumerate(classes)
    ]


def confusion_counts(split: Split, count: int, objective: Objective, output: Tensor) -> NDArray[np.int64]:
    """Return the confusion matrix of `count` classes by the outputs [N, K]: true classes by predicted classes."""
    counts = np.zeros((count, count), dtype=np.int64)
    np.add.at(counts, (truth_of(split), objective.prediction(output).cpu().numpy()), 1)
    return counts


def truth_of(split: Split) -> NDArray[np.int64]:
    """Return the class numbers [N]."""
    return split.y.reshape(len(split)).long().cpu().numpy()
