"""The metrics of training steps, by logging window."""

from collections.abc import Sequence
from itertools import accumulate, chain

import numpy as np
import torch
from torch import Tensor

from exp.data.splits import Split
from exp.data.stack import Stack
from exp.training.metrics import Column, MetricSums
from exp.training.objectives import Objective
from exp.training.split_metrics import total_loss_weights
from exp.training.weights import unpack_target


def compute_step_metrics(
    objective: Objective,
    stacks: Sequence[Stack],
    losses: Sequence[float],
    outputs: Tensor,
    windows: Sequence[int],
    split: Split,
) -> MetricSums[Column]:
    """Return the metrics of steps on the batches of `stacks`, as columns.

    Args:
        losses: Of each batch.
        outputs: Of all their rows [N, K].
        windows: Number of batches in each logging window; the sum is the number of batches.
        split: The split that the batches come from (R^2 needs its variance).
    """
    counts = list(chain.from_iterable([stack.batch_size] * len(stack) for stack in stacks))
    target = concatenate([stack.targets for stack in stacks])
    weights = total_loss_weights(objective, target, counts)
    # In float64, a float32 loss times a weight divided by that weight is the same float32 loss, to the bit.
    weighted = [loss * weight for loss, weight in zip(losses, weights or counts, strict=True)]
    ends = list(accumulate(windows))
    parts = [slice(end - window, end) for end, window in zip(ends, windows, strict=True)]
    sizes = [sum(counts[part]) for part in parts]
    y, row_weights = unpack_target(objective.criterion, target)
    score = objective.score(outputs, y, sizes, split, row_weights)
    sums = np.array([sum(weighted[part]) for part in parts])
    totals = np.array([sum(weights[part]) for part in parts]) if weights else None
    return MetricSums(np.array(sizes, dtype=np.float64), sums, score, totals)


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Return the rows of all parts, without a copy if there is one."""
    return parts[0] if len(parts) == 1 else torch.cat([*parts])
