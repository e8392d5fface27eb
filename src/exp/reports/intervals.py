"""95 % confidence intervals of test metrics, over samples of rows."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.preprocessing import Floats
from exp.data.splits import Split
from exp.results.t_tests import Interval
from exp.training.labels import Labels
from exp.training.objectives import Objective
from exp.training.split_metrics import score_split
from exp.training.weights import has_class_weight, loss_weights, unpack_target, without_weights

# 95 % of a normal distribution lie within this many standard deviations.
_Z = 1.959963984540054


@np.errstate(invalid="ignore", over="ignore")
def confidence_intervals(split: Split, objective: Objective, output: Tensor) -> dict[str, Interval]:
    """Return the 95 % confidence interval of each metric of the outputs [N, K].

    An accuracy has Wilson's interval. Other metrics have +- 1.96 standard errors: of the rows' losses, of their squared
    errors for rmse, and for r2 of each row's contribution through its error and through the variance. With weights w
    these are errors of weighted means, and an accuracy is of (sum w)^2 / sum w^2 rows. A metric without an interval is
    left out: a loss that is no mean over rows, any metric of a single row, and one that is infinite.
    """
    intervals: dict[str, Interval] = {}
    weights = np.ones(len(split)) if split.weights is None else split.weights.double().cpu().numpy()
    losses = row_losses(objective.criterion, output, split.target)
    if losses is not None and len(split) > 1:
        in_loss = loss_weights(objective.criterion, split.target)
        intervals["loss"] = _of_mean(losses, np.ones(len(split)) if in_loss is None else in_loss.double().cpu().numpy())
    values = score_split(objective, output, split).values()
    if "accuracy" in values:
        count = len(split) if split.weights is None else float(weights.sum() ** 2 / np.square(weights).sum())
        intervals["accuracy"] = wilson_interval(values["accuracy"] * count, count)
    elif isinstance(objective, Labels):
        count = len(split) if split.weights is None else float(weights.sum() ** 2 / np.square(weights).sum())
        intervals["subset_accuracy"] = wilson_interval(values["subset_accuracy"] * count, count)
        if len(split) > 1:
            is_right = (objective.prediction(output) == split.y.long()).double().mean(1).cpu().numpy()
            low, high = _of_mean(is_right, weights)
            intervals["label_accuracy"] = max(0.0, low), min(1.0, high)
    elif len(split) > 1:
        squares = (objective.prediction(output).cpu() - split.values).double().square().numpy()
        low, high = _of_mean(squares.mean(1), weights)
        intervals["rmse"] = math.sqrt(max(0.0, low)), math.sqrt(high)
        if "r2" in values:
            y = split.values.double().numpy()
            variance = np.array(split.variance)
            spread = (y - np.average(y, axis=0, weights=weights)) ** 2
            mean = np.average(squares, axis=0, weights=weights)
            low, high = _of_mean(((squares - mean / variance * spread) / variance).mean(1), weights)
            intervals["r2"] = values["r2"] - high, values["r2"] - low
    return {name: ends for name, ends in intervals.items() if all(map(math.isfinite, ends))}


def wilson_interval(right: float, count: float) -> Interval:
    """Return Wilson's 95 % interval of the share `right` / `count` (Wilson 1927)."""
    share, weight = right / count, _Z**2 / count
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _of_mean(values: Floats, weights: Floats) -> Interval:
    """Return the interval of the weighted mean of N > 1 numbers; with equal weights, of the mean."""
    mean = float(np.average(values, weights=weights))
    n = len(values)
    deviation = math.sqrt(float((np.square(weights) * np.square(values - mean)).sum()) * n / (n - 1))
    reach = _Z * deviation / float(weights.sum())
    return mean - reach, mean + reach


def row_losses(criterion: nn.Module, output: Tensor, target: Tensor) -> Floats | None:
    """Return the loss of each row [N], without its weight; None if the criterion's loss is not their mean."""
    of_rows: Any = copy.copy(without_weights(criterion))
    if not hasattr(of_rows, "reduction"):
        return None
    of_rows.reduction = "none"
    y, _ = unpack_target(criterion, target)
    losses: Tensor = of_rows(output, y)
    if losses.ndim == 0 or len(losses) != len(target):  # a user's criterion that ignores its `reduction`
        return None
    losses = losses.reshape(len(target), -1).mean(1).double()
    if has_class_weight(of_rows):
        losses = losses / of_rows.weight[y]
    weights = loss_weights(criterion, target)
    mean = losses.mean() if weights is None else (losses * weights).sum() / weights.double().sum()
    is_mean = torch.isclose(mean, criterion(output, target).double(), rtol=1e-4)
    return losses.cpu().numpy() if is_mean else None
