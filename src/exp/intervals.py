"""How sure a measure is: its 95 % confidence interval, had other rows of the same kind been taken."""

import copy
import math
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.columns import Floats
from exp.data.split import Split
from exp.objectives import Objective
from exp.scores import Predict

Interval: TypeAlias = tuple[float, float]

# Standard deviations of a normal distribution to each side that hold 95 % of it.
_Z = 1.959963984540054


def intervals(split: Split, objective: Objective, predict: Predict) -> dict[str, Interval]:
    """The 95 % confidence interval of each measure, had other rows of the same kind been taken.

    Of an accuracy it is Wilson's; of a loss, mean +- 1.96 standard errors of the rows' losses; of rmse and r2, what
    follows from that of the squares, the split's variance taken as known. A measure without one is left out: a loss
    that is no mean over rows, or one row alone.
    """
    output = predict(split.x)
    found: dict[str, Interval] = {}
    losses = row_losses(objective.criterion, output, split.y)
    if losses is not None and len(split) > 1:
        found["loss"] = _of_mean(losses)
    (score,) = objective.score(output, split.y, [len(split)], split)
    for name in score.values():
        if name == "accuracy":
            found[name] = wilson(round(score.values()[name] * len(split)), len(split))
        elif len(split) > 1:
            squares = (output - split.y).square().double().cpu().numpy()
            low, high = _of_mean(squares.mean(1) if name == "rmse" else (squares / np.array(split.variance)).mean(1))
            found[name] = (math.sqrt(low), math.sqrt(high)) if name == "rmse" else (1 - high, 1 - low)
    return found


def wilson(right: int, count: int) -> Interval:
    """Wilson's 95 % interval for a share of which `right` of `count` were seen (Wilson 1927)."""
    share, weight = right / count, _Z**2 / count
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _of_mean(values: Floats) -> Interval:
    """Of the mean of N > 1 numbers, none of them below 0."""
    reach = _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return max(0.0, float(values.mean()) - reach), float(values.mean()) + reach


def row_losses(criterion: nn.Module, output: Tensor, target: Tensor) -> Floats | None:
    """The loss of each of N rows; None of a criterion whose loss is not their mean, as one that weighs classes."""
    if not hasattr(criterion, "reduction"):
        return None
    of_rows: Any = copy.copy(criterion)
    of_rows.reduction = "none"
    losses: Tensor = of_rows(output, target).reshape(len(target), -1).mean(1).double()
    whole = torch.isclose(losses.mean(), criterion(output, target).double(), rtol=1e-4)
    return losses.cpu().numpy() if whole else None
