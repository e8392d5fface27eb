"""How sure a metric is: its 95 % confidence interval, had other rows of the same kind been taken."""

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


# Standard deviations of a normal distribution to each side that hold 95 % of it.
_Z = 1.959963984540054


def confidence_intervals(split: Split, objective: Objective, output: Tensor) -> dict[str, Interval]:
    """The 95 % confidence interval of each metric of the outputs [N, K], had other rows of the same kind been taken.

    Of an accuracy it is Wilson's; of any other, the metric +- 1.96 standard errors: of the rows' losses, of their
    squared errors for rmse, and for r2 of what each row adds to it, through its error and through the variance. A
    metric without one is left out: a loss that is no mean over rows, or of one row alone.
    """
    found: dict[str, Interval] = {}
    losses = row_losses(objective.criterion, output, split.y)
    if losses is not None and len(split) > 1:
        found["loss"] = _of_mean(losses)
    (score,) = objective.score(output, split.y, [len(split)], split)
    values = score.values()
    if "accuracy" in values:
        found["accuracy"] = wilson_interval(round(values["accuracy"] * len(split)), len(split))
    elif len(split) > 1:
        squares = (output - split.y).double().square().cpu().numpy()
        low, high = _of_mean(squares.mean(1))
        found["rmse"] = math.sqrt(max(0.0, low)), math.sqrt(high)
        if "r2" in values:
            y = split.y.double().cpu().numpy()
            variance = np.array(split.variance)
            spread = (y - y.mean(0)) ** 2
            low, high = _of_mean(((squares - squares.mean(0) / variance * spread) / variance).mean(1))
            found["r2"] = values["r2"] - high, values["r2"] - low
    return found


def wilson_interval(right: int, count: int) -> Interval:
    """Wilson's 95 % interval for a share of which `right` of `count` were seen (Wilson 1927)."""
    share, weight = right / count, _Z**2 / count
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _of_mean(values: Floats) -> Interval:
    """Of the mean of N > 1 numbers."""
    reach = _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def row_losses(criterion: nn.Module, output: Tensor, target: Tensor) -> Floats | None:
    """The loss of each of N rows; None of a criterion whose loss is not their mean, as one that weighs classes."""
    if not hasattr(criterion, "reduction"):
        return None
    of_rows: Any = copy.copy(criterion)
    of_rows.reduction = "none"
    losses: Tensor = of_rows(output, target)
    if losses.ndim == 0 or len(losses) != len(target):  # a user's own, which has the word and pays it no heed
        return None
    losses = losses.reshape(len(target), -1).mean(1).double()
    whole = torch.isclose(losses.mean(), criterion(output, target).double(), rtol=1e-4)
    return losses.cpu().numpy() if whole else None
