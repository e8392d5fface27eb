"""95 % confidence intervals of test metrics, over samples of rows."""

import copy
import math
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.preprocessing import Floats
from exp.data.splits import Split
from exp.training.objectives import Objective

Interval: TypeAlias = tuple[float, float]


# 95 % of a normal distribution lie within this many standard deviations.
_Z = 1.959963984540054


def confidence_intervals(split: Split, objective: Objective, output: Tensor) -> dict[str, Interval]:
    """Return the 95 % confidence interval of each metric of the outputs [N, K].

    An accuracy has Wilson's interval. Other metrics have +- 1.96 standard errors: of the rows' losses, of their squared
    errors for rmse, and for r2 of each row's contribution through its error and through the variance. A metric without
    an interval is left out: a loss that is no mean over rows, and any metric of a single row.
    """
    intervals: dict[str, Interval] = {}
    losses = row_losses(objective.criterion, output, split.y)
    if losses is not None and len(split) > 1:
        intervals["loss"] = _of_mean(losses)
    (score,) = objective.score(output, split.y, [len(split)], split, split.weights)
    values = score.values()
    if "accuracy" in values:
        intervals["accuracy"] = wilson_interval(round(values["accuracy"] * len(split)), len(split))
    elif len(split) > 1:
        squares = (objective.prediction(output).cpu() - split.values).double().square().numpy()
        low, high = _of_mean(squares.mean(1))
        intervals["rmse"] = math.sqrt(max(0.0, low)), math.sqrt(high)
        if "r2" in values:
            y = split.values.double().numpy()
            variance = np.array(split.variance)
            spread = (y - y.mean(0)) ** 2
            low, high = _of_mean(((squares - squares.mean(0) / variance * spread) / variance).mean(1))
            intervals["r2"] = values["r2"] - high, values["r2"] - low
    return intervals


def wilson_interval(right: int, count: int) -> Interval:
    """Return Wilson's 95 % interval of the share `right` / `count` (Wilson 1927)."""
    share, weight = right / count, _Z**2 / count
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _of_mean(values: Floats) -> Interval:
    """Return the interval of the mean of N > 1 numbers."""
    reach = _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def row_losses(criterion: nn.Module, output: Tensor, target: Tensor) -> Floats | None:
    """Return the loss of each row [N]; None if the criterion's loss is not their mean, as with class weights."""
    if not hasattr(criterion, "reduction"):
        return None
    of_rows: Any = copy.copy(criterion)
    of_rows.reduction = "none"
    losses: Tensor = of_rows(output, target)
    if losses.ndim == 0 or len(losses) != len(target):  # a user's criterion that ignores its `reduction`
        return None
    losses = losses.reshape(len(target), -1).mean(1).double()
    is_mean = torch.isclose(losses.mean(), criterion(output, target).double(), rtol=1e-4)
    return losses.cpu().numpy() if is_mean else None
