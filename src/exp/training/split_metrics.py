"""The metrics of a whole split."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from exp.data.splits import Split
from exp.training.check_outputs import check_output
from exp.training.compute_loss import compute_loss
from exp.training.metrics import MetricSums, Score, first_window, total_weights
from exp.training.objectives import Objective
from exp.training.weights import loss_weights


def compute_metrics(
    objective: Objective, output: Tensor, split: Split, loss: Tensor | float | None = None
) -> MetricSums:
    """Return the metrics of outputs [N, K] for all rows of the split.

    Args:
        loss: That of the outputs, if it was computed already.

    Raises:
        ConfigError: The outputs have the wrong shape or range for the loss.
    """
    mean = float(compute_loss_of(objective, output, split.target) if loss is None else loss)
    score = score_split(objective, output, split)
    (weight,) = total_loss_weights(objective, split.target, [len(split)]) or (None,)
    total = len(split) if weight is None else weight
    return MetricSums(len(split), mean * total, score, weight, objective.score_all(output, split))


def score_split(objective: Objective, output: Tensor, split: Split) -> Score:
    """Return the score of outputs [N, K] for all rows of the split."""
    return first_window(objective.score(output, split.y, [len(split)], split, split.weights))


def compute_loss_of(objective: Objective, output: Tensor, target: Tensor) -> Tensor:
    """Return the loss of outputs [N, K], which are checked before.

    Raises:
        ConfigError: The outputs have the wrong shape or range for the loss.
    """
    check_output(objective, output, len(target))
    return compute_loss(objective.criterion, output, target)


def total_loss_weights(objective: Objective, target: Tensor, counts: Sequence[int]) -> list[float] | None:
    """Return the total weight in the loss of the first counts[0] rows of `target`, of the next counts[1], and so on.

    They are rounded to float32, as in the loss. None if all rows weigh the same.
    """
    weights = loss_weights(objective.criterion, target)
    return None if weights is None else total_weights(weights, counts).astype(np.float32).tolist()
