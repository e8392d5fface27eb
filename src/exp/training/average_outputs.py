"""The average of what several models predict: probabilities of classes, or values in the target's own unit."""

from collections.abc import Sequence

import torch
from torch import Tensor

from exp.training.labels import Labels
from exp.training.objectives import Binary, Multiclass, Objective, Regression

# Limits that keep the loss of an average finite: the smallest distance of a probability from 1, and the smallest
# probability.
_EPS, _TINY = 2.0**-53, 2.0**-1022


def average_outputs(objectives: Sequence[Objective], outputs: Sequence[Tensor]) -> Tensor:
    """Return outputs [N, K] of the first objective, whose predictions are the average of those of all `outputs`."""
    return _from_values(objectives[0], average_values(objectives, outputs)).float()


def average_values(objectives: Sequence[Objective], outputs: Sequence[Tensor]) -> Tensor:
    """Return the average of what `to_values` returns for each of the outputs."""
    values = [to_values(one, output) for one, output in zip(objectives, outputs, strict=True)]
    return torch.stack(values).mean(0)


def to_values(objective: Objective, output: Tensor) -> Tensor:
    """Return what may be averaged over models, float64: probabilities [N, K] or [N, 1], or values [N, K].

    Values are in the target's own unit.
    """
    if isinstance(objective, Multiclass):
        return output.double().softmax(1)
    if isinstance(objective, Binary | Labels):
        return objective.probability(output.double())
    return objective.prediction(output).double()


def _from_values(objective: Objective, values: Tensor) -> Tensor:
    """Return the outputs of which `to_values` returns `values`."""
    if isinstance(objective, Multiclass):
        return values.clamp(min=_TINY).log()
    if isinstance(objective, Binary | Labels) and objective.probability is torch.sigmoid:
        return torch.logit(values, eps=_EPS)
    if isinstance(objective, Regression) and objective.scale is not None:
        return torch.from_numpy(objective.scale.transform(values.numpy()))
    return values
