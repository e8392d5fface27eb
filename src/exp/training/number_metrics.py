"""Metrics of predicted numbers, over all rows of a split at once, as scikit-learn and SciPy define them.

They are computed in float64, and averaged over several targets. None stands for what the rows do not define, such as
the rank correlation of a constant.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from exp.data.columns.column import Floats


@dataclass(frozen=True)
class NumberRows:
    """N rows: true and predicted values [N, K] in the target's own unit, and weights [N] (None: all weigh 1)."""

    truth: Floats
    predicted: Floats
    weights: Floats | None = None

    @cached_property
    def errors(self) -> Floats:
        """The absolute errors [N, K]."""
        return np.abs(self.predicted - self.truth)


def error(rows: NumberRows) -> float:
    """Return the root mean squared error, as the metric rmse that every run has."""
    return float(np.sqrt(np.average(np.square(rows.errors), axis=0, weights=rows.weights).mean()))


def r2(rows: NumberRows) -> float | None:
    """Return the mean R^2 of the targets; None if one of them is constant."""
    means = np.average(rows.truth, axis=0, weights=rows.weights)
    variance = np.average(np.square(rows.truth - means), axis=0, weights=rows.weights)
    if (rows.truth.min(0) == rows.truth.max(0)).any():
        return None
    return float(np.mean(1 - np.average(np.square(rows.errors), axis=0, weights=rows.weights) / variance))


def mae(rows: NumberRows) -> float:
    return float(np.average(rows.errors, axis=0, weights=rows.weights).mean())


def mape(rows: NumberRows) -> float:
    """Return the mean absolute error as a share of the true value, which is limited to what float64 tells from 0."""
    shares = rows.errors / np.maximum(np.abs(rows.truth), np.finfo(np.float64).eps)
    return float(np.average(shares, axis=0, weights=rows.weights).mean())


def median_absolute_error(rows: NumberRows) -> float:
    if rows.weights is None:
        return float(np.median(rows.errors, axis=0).mean())
    return float(np.mean([_compute_weighted_median(errors, rows.weights) for errors in rows.errors.T]))


def spearman(rows: NumberRows) -> float | None:
    """Return the correlation of the ranks; None if a target or its predictions are constant."""
    weights = np.ones(len(rows.truth)) if rows.weights is None else rows.weights
    pairs = zip(rows.truth.T, rows.predicted.T, strict=True)
    values = [_correlate(_rank(true, weights), _rank(predicted, weights), weights) for true, predicted in pairs]
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if len(defined) == len(values) else None


def _compute_weighted_median(values: Floats, weights: Floats) -> float:
    """Return the value with half of the weight on each side; between two such values, their mean."""
    order = np.argsort(values, kind="stable")
    in_order, of_row = values[order], weights[order]
    in_order, of_row = in_order[of_row > 0], of_row[of_row > 0]
    totals = np.cumsum(of_row)
    place = np.count_nonzero(totals < totals[-1] / 2)
    following = min(place + 1, len(in_order) - 1) if totals[place] == totals[-1] / 2 else place
    return float((in_order[place] + in_order[following]) / 2)


def _rank(values: Floats, weights: Floats) -> Floats:
    """Return the rank of each row [N]; equal rows share their mean rank, and a weight of 2 counts as two rows."""
    _, groups = np.unique(values, return_inverse=True)
    totals = np.bincount(groups, weights).astype(np.float64)
    return (np.cumsum(totals) - totals / 2)[groups]


def _correlate(a: Floats, b: Floats, weights: Floats) -> float | None:
    a, b = (values - np.average(values, weights=weights) for values in (a, b))
    covariance, *variances = (np.average(left * right, weights=weights) for left, right in ((a, b), (a, a), (b, b)))
    return None if min(variances) <= 0 else float(covariance / np.sqrt(variances[0] * variances[1]))
