"""How torch's losses and their derivatives are made of core operators.

A `reduction` is 0 for none, 1 for the mean and 2 for the sum.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable
from typing import Any

from exp.compiled.activation_rules import log_sigmoid
from exp.compiled.tensor_rules import index_select, squeeze
from exp.compiled.values import FLOAT, LONG, Operand, Value, broadcast, gather, mean, reduce, unsqueeze, where
from exp.compiled.values import elementwise as f

_MEAN = 1


def reduced(loss: Value, reduction: int) -> Value:
    if reduction == 0:
        return loss
    return mean(loss) if reduction == _MEAN else reduce("sum", loss)


def grad_of_each(g: Value, x: Value, reduction: int) -> Value:
    """Return the gradient of the loss of each value of x."""
    return g * (1.0 / max(1, x.size)) if reduction == _MEAN else g


def mse_backward(g: Value, x: Value, target: Value, reduction: int) -> Value:
    return grad_of_each(g, x, reduction) * 2.0 * (x - target)


def huber(x: Value, target: Value, reduction: int = _MEAN, delta: Operand = 1.0) -> Value:
    z = f("abs", x - target)
    return reduced(where(f("lt", z, delta), z * z * 0.5, (z - f("mul", delta, 0.5)) * delta), reduction)


def huber_backward(g: Value, x: Value, target: Value, reduction: int, delta: Operand) -> Value:
    z, slope = x - target, grad_of_each(g, x, reduction)
    return where(z < f("neg", delta), -slope * delta, where(z > delta, slope * delta, slope * z))


def smooth_l1(x: Value, target: Value, reduction: int = _MEAN, beta: Operand = 1.0) -> Value:
    z = f("abs", x - target)
    return reduced(where(f("lt", z, beta), z * z * 0.5 / beta, z - f("mul", beta, 0.5)), reduction)


def smooth_l1_backward(g: Value, x: Value, target: Value, reduction: int, beta: Operand) -> Value:
    z, slope = x - target, grad_of_each(g, x, reduction)
    return where(z <= f("neg", beta), -slope, where(f("ge", z, beta), slope, slope * z / beta))


def weighted(value: Value, weight: Value | None) -> Value:
    return value if weight is None else value * weight


def bce(x: Value, target: Value, weight: Value | None = None, reduction: int = _MEAN) -> Value:
    """A logarithm is at least -100, as in torch. Where torch raises an error, outside of 0 to 1, the loss is NaN."""
    of_ones, of_zeros = (f("maximum", logarithm, -100.0) for logarithm in (f("log", x), f("log1p", -x)))
    loss = (target - 1.0) * of_zeros - target * of_ones
    for value in (x, target):
        loss = where(f("and", f("ge", value, 0.0), f("le", value, 1.0)), loss, math.nan)
    return reduced(weighted(loss, weight), reduction)


def bce_backward(g: Value, x: Value, target: Value, weight: Value | None = None, reduction: int = _MEAN) -> Value:
    slope = weighted((x - target) / f("maximum", x * (1.0 - x), 1e-12), weight)
    return grad_of_each(g, x, reduction) * slope


def bce_with_logits(
    x: Value, target: Value, weight: Value | None = None, pos_weight: Value | None = None, reduction: int = _MEAN
) -> Value:
    logarithm = log_sigmoid(x)
    if pos_weight is not None:
        logarithm = logarithm * ((pos_weight - 1.0) * target + 1.0)
    return reduced(weighted((1.0 - target) * x - logarithm, weight), reduction)


def log_softmax(x: Value, dim: int, _: bool) -> Value:
    shifted = x - reduce("amax", x, [dim], True)
    return shifted - f("log", reduce("sum", f("exp", shifted), [dim], True))


def softmax(x: Value, dim: int, _: bool) -> Value:
    powers = f("exp", x - reduce("amax", x, [dim], True))
    return powers / reduce("sum", powers, [dim], True)


def nll(scores: Value, target: Value, weight: Value | None, reduction: int, ignore_index: int) -> tuple[Value, Value]:
    """Return the loss of log-probabilities [N, C], or [C], and the sum of the weights that count."""
    chosen, weights = _chosen(target, weight, ignore_index)
    scores_of_target = squeeze(gather(scores, -1, unsqueeze(chosen, -1)), -1)
    losses = where(f("ne", target, ignore_index), -scores_of_target * weights, 0.0)
    total = reduce("sum", weights)
    if reduction == 0 and len(scores.shape) > 1:
        return losses, broadcast(0.0, ())
    return reduce("sum", losses) / (total if reduction == _MEAN else 1.0), total


def nll_backward(
    g: Value, scores: Value, target: Value, weight: Value | None, reduction: int, ignore_index: int, total: Value
) -> Value:
    chosen, weights = _chosen(target, weight, ignore_index)
    slopes = -(g / total if reduction == _MEAN else g) * weights
    slopes = where(f("ne", target, ignore_index), slopes, 0.0)  # also if the total weight is 0
    column = Value("position", (), scores.shape, LONG, (len(scores.shape) - 1,))
    return where(f("eq", column, unsqueeze(chosen, -1)), unsqueeze(slopes, -1), 0.0)


def _chosen(target: Value, weight: Value | None, ignore_index: int) -> tuple[Value, Value]:
    """Return the classes, with 0 for those that are ignored, and the weights of the rows, 0 for these."""
    counts = f("ne", target, ignore_index)
    chosen = where(counts, target, 0)
    return chosen, f(FLOAT, counts) if weight is None else where(counts, index_select(weight, 0, chosen), 0.0)


LOSSES: dict[str, Callable[..., Any]] = {
    "mse_loss": lambda x, target, reduction=_MEAN: reduced((x - target) * (x - target), reduction),
    "mse_loss_backward": mse_backward,
    "huber_loss": huber,
    "huber_loss_backward": huber_backward,
    "smooth_l1_loss": smooth_l1,
    "smooth_l1_loss_backward": smooth_l1_backward,
    "binary_cross_entropy": bce,
    "binary_cross_entropy_backward": bce_backward,
    "binary_cross_entropy_with_logits": bce_with_logits,
    "_softmax": softmax,
    "_softmax_backward_data": lambda g, y, dim, _: (g - reduce("sum", g * y, [dim], True)) * y,
    "_log_softmax": log_softmax,
    "_log_softmax_backward_data": lambda g, y, dim, _: g - f("exp", y) * reduce("sum", g, [dim], True),
    "nll_loss_forward": nll,
    "nll_loss_backward": nll_backward,
}
