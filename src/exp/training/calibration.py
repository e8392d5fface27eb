"""Calibration: logits of a trained classifier, scaled and shifted so that its probabilities fit observed frequencies.

Temperature scaling is that of Guo et al., 2017, "On Calibration of Modern Neural Networks"; with a bias for each class
it is their vector scaling with one scale for all classes, and for two classes Platt's sigmoid.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exp.data.columns.column import Floats
from exp.errors import DataError
from exp.training.class_metrics import ClassRows

# Of the scale.
_LIMITS = (1e-2, 1e2)

# Thresholds that are tried.
_MAX_THRESHOLDS = 1000


@dataclass(frozen=True)
class Calibration:
    """Log probabilities of the K classes are multiplied by `scale`, and `bias` [K] is added, before the softmax.

    The second of two classes is predicted if its probability is at least `threshold`; None: the most probable class.
    """

    scale: float
    bias: tuple[float, ...]
    threshold: float | None = None


class CalibrationLayer(nn.Module):
    """Applies a calibration to outputs of a model: logits [N, K], or for two classes those of the second one [N, 1].

    Args:
        of_probabilities: The outputs are probabilities [N, 1] of the second class instead.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, calibration: Calibration, outputs: int, of_probabilities: bool) -> None:
        super().__init__()
        bias = torch.tensor(calibration.bias)
        self._of_probabilities = of_probabilities
        self.register_buffer("scale", torch.tensor(calibration.scale))
        self.register_buffer("bias", bias[1:] - bias[:1] if outputs == 1 else bias)

    def forward(self, output: Tensor) -> Tensor:
        if not self._of_probabilities:
            return output * self.scale + self.bias
        limit = torch.finfo(output.dtype)
        return torch.sigmoid(torch.logit(output.clamp(limit.tiny, 1 - limit.eps)) * self.scale + self.bias)


def fit_calibration(
    probabilities: Floats, truth: NDArray[np.int64], weights: Floats | None, has_bias: bool
) -> Calibration:
    """Return the scale, and with `has_bias` the bias of each class, of the lowest log loss.

    This is a convex problem, solved in float64 without random numbers. The biases have the sum 0.

    Args:
        probabilities: The predictions [N, K] for rows that the model was not trained on.
        truth: Their class numbers [N].
        weights: Their weights [N]; None: all weigh 1.

    Raises:
        DataError: All rows could be predicted right, and then the best scale is infinite.
    """
    optimize: Any = import_module("scipy.optimize")  # lazy: takes a fifth of a second
    labels = torch.from_numpy(truth)
    share = torch.from_numpy(np.ones(len(truth)) if weights is None else weights)
    share = share / share.sum()
    logs = torch.from_numpy(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)))

    def evaluate(numbers: Floats) -> tuple[float, Floats]:
        values = torch.tensor(numbers, requires_grad=True)
        logits = logs * values[0] + values[1:] if has_bias else logs * values[0]
        loss = (nn.functional.cross_entropy(logits, labels, reduction="none") * share).sum()
        (slope,) = torch.autograd.grad(loss, values)
        return loss.item(), slope.numpy()

    classes = logs.shape[1]
    start = np.array([1.0, *np.zeros(classes if has_bias else 0)])
    bounds = [_LIMITS, *[(None, None)] * (len(start) - 1)]
    options = {"maxiter": 10_000, "maxfun": 10_000, "ftol": 1e-16, "gtol": 1e-10}
    found: Floats = optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    bias = found[1:] - found[1:].mean() if has_bias else np.zeros(classes)
    losses = nn.functional.cross_entropy(logs * found[0] + torch.from_numpy(bias), labels, reduction="none")
    # One row that is predicted wrong loses log(2) or more.
    if losses[share > 0].sum() < math.log(2):
        raise DataError(
            f"every validation row ({len(truth):,}) is predicted right, which no finite scale fits best",
            "more validation rows (dataset.split), or the probabilities as they are",
        )
    return Calibration(float(found[0]), tuple(map(float, bias)))


def best_threshold(cost: Callable[[ClassRows], float | None], rows: ClassRows) -> float:
    """Return the threshold for two classes with the lowest `cost`, of several the one closest to 0.5.

    It lies between two neighbours among the probabilities of the second class. Of many rows 1,000 are tried, at equal
    distances in their order.
    """
    p = rows.probabilities[:, 1]
    values = np.unique(p)
    between = (values[1:] + values[:-1]) / 2
    tried = [0.5, *between[:: max(1, -(-len(between) // _MAX_THRESHOLDS))].tolist()]

    def rank(threshold: float) -> tuple[float, float]:
        predicted = (p >= threshold).astype(np.int64)
        value = cost(ClassRows(rows.truth, predicted, rows.probabilities, rows.weights))
        return (np.inf if value is None else value, abs(threshold - 0.5))

    return min(tried, key=rank)
