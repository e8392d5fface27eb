"""How well a model tells classes: what it finds, how true its probabilities are, and each class by itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exp.data.preprocessing import Floats
from exp.data.splits import Split
from exp.training.objectives import Objective


@dataclass(frozen=True)
class Ranking:
    """What is found at each threshold of a score, from none of N rows to all of them; the areas under its two curves.

    `false` and `true`: shares of the negatives and of the positives that score as much (ROC). `precision`: of the rows
    that do, the share of positives; `average` precision is over the recall, which is `true`, without interpolation.
    """

    false: Floats
    true: Floats
    precision: Floats
    area: float
    average: float

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: Floats) -> "Ranking":
        """Of rows [N], some of them positive and some not."""
        order = np.argsort(-score, kind="stable")
        in_order = score[order]
        last = np.flatnonzero(np.append(in_order[1:] != in_order[:-1], True))  # of rows with the same score
        found = np.cumsum(positive[order])[last]
        false = np.concatenate([[0.0], (last + 1 - found) / (~positive).sum()])
        true = np.concatenate([[0.0], found / positive.sum()])
        precision = np.concatenate([[1.0], found / (last + 1)])
        area = float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())
        return cls(false, true, precision, area, float((np.diff(true) * precision[1:]).sum()))


@dataclass(frozen=True)
class Calibration:
    """Of predictions in ten bins by how `sure` they are: their mean there, and the share that is `right`.

    `error`: how far the two are apart, by the bins' rows (Guo et al. 2017).
    """

    sure: Floats
    right: Floats
    error: float

    @classmethod
    def of(cls, sure: Floats, right: NDArray[np.bool_]) -> "Calibration":
        bins = np.minimum((sure * 10).astype(int), 9)
        counts, sures, rights = (np.bincount(bins, weights, 10) for weights in (None, sure, right))
        seen = counts > 0
        return cls(
            sures[seen] / counts[seen], rights[seen] / counts[seen], float(np.abs(sures - rights).sum() / len(sure))
        )


@dataclass(frozen=True)
class ClassScores:
    """How one class is told: of the rows predicted so the share that is, of those that are the share predicted so."""

    name: str
    precision: float
    recall: float
    f1: float
    rows: int


def scores_by_class(classes: tuple[str, ...], counts: NDArray[np.int64]) -> list[ClassScores]:
    """Precision, recall and F1 of each class, by the confusion matrix; NaN where there is nothing to divide by."""
    right, rows, told = counts.diagonal(), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = right / told, right / rows, 2 * right / (rows + told)
    return [
        ClassScores(name, float(precision[number]), float(recall[number]), float(f1[number]), int(rows[number]))
        for number, name in enumerate(classes)
    ]


def confusion_counts(split: Split, count: int, objective: Objective, output: Tensor) -> NDArray[np.int64]:
    """How many rows of each of `count` classes (rows) were predicted as which (columns), by the outputs [N, K]."""
    counts = np.zeros((count, count), dtype=np.int64)
    np.add.at(counts, (truth_of(split), objective.prediction(output).cpu().numpy()), 1)
    return counts


def truth_of(split: Split) -> NDArray[np.int64]:
    """Class numbers [N]."""
    return split.y.reshape(len(split)).long().cpu().numpy()
