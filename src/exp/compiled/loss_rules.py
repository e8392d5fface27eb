"""How losses and their gradients are made of core operators.

The formulas are those of torch's kernels, in the same order where this matters for inf and NaN.
"""

from collections.abc import Callable
from typing import Any

from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import Operand, Value, gather, mean, number, positions, reduce, reshape, where
from exp.compiled.values import elementwise as f

_NONE, _MEAN, _SUM = range(3)  # of the loss of the rows


def _reduced(losses: Value, reduction: int) -> Value:
    return losses if reduction == _NONE else mean(losses) if reduction == _MEAN else reduce("sum", losses)


def _share(gradient: Value, of: Value, reduction: int) -> Value:
    """Return the gradient of each element's loss."""
    return gradient * (1.0 / of.size) if reduction == _MEAN else gradient


def _row_weights(target: Value, weight: Value | None, ignored: int) -> Value:
    """Return the weight of each row: 0 for those whose target is the ignored class."""
    is_counted = f("ne", target, ignored)
    if weight is None:
        return f("float", is_counted)
    return where(is_counted, gather(weight, 0, where(is_counted, target, 0)), number(0.0))


def nll_loss(x: Value, target: Value, weight: Value | None, reduction: int, ignored: int) -> tuple[Value, Value]:
    if len(x.shape) != 2:
        raise Uncompilable("aten.nll_loss_forward of one row")
    weights, is_counted = _row_weights(target, weight, ignored), f("ne", target, ignored)
    chosen = gather(x, 1, reshape(where(is_counted, target, 0), (-1, 1)))
    losses = where(is_counted, -weights * reshape(chosen, (-1,)), number(0.0))
    total = reduce("sum", weights)
    if reduction == _NONE:
        return losses, number(0.0)
    loss = reduce("sum", losses)
    return (loss / total if reduction == _MEAN else loss), total


def nll_loss_backward(
    g: Value, x: Value, target: Value, weight: Value | None, reduction: int, ignored: int, total: Value
) -> Value:
    rows = -_row_weights(target, weight, ignored) * (g / total if reduction == _MEAN else g)
    is_target = f("eq", positions(x.shape, 1), reshape(target, (-1, 1)))
    return where(is_target, reshape(rows, (-1, 1)), number(0.0))


def bce(x: Value, t: Value, weight: Value | None = None, reduction: int = _MEAN) -> Value:
    logs = [f("maximum", value, -100.0) for value in (f("log", x), f("log1p", -x))]
    losses = (t - 1.0) * logs[1] - t * logs[0]
    return _reduced(losses if weight is None else losses * weight, reduction)


def bce_backward(g: Value, x: Value, t: Value, weight: Value | None = None, reduction: int = _MEAN) -> Value:
    result = g * (x - t) / f("maximum", (1.0 - x) * x, 1e-12)
    return _share(result if weight is None else result * weight, x, reduction)


def bce_with_logits(
    x: Value, t: Value, weight: Value | None = None, positive: Value | None = None, reduction: int = _MEAN
) -> Value:
    log_sigmoid = f("minimum", x, 0.0) - f("log1p", f("exp", -f("abs", x)))
    losses = (1.0 - t) * x - (log_sigmoid if positive is None else ((positive - 1.0) * t + 1.0) * log_sigmoid)
    return _reduced(losses if weight is None else losses * weight, reduction)


def mse(x: Value, t: Value, reduction: int = _MEAN) -> Value:
    return _reduced((x - t) * (x - t), reduction)


def mse_backward(g: Value, x: Value, t: Value, reduction: int) -> Value:
    return (x - t) * _share(2.0 * g, x, reduction)


def huber(x: Value, t: Value, reduction: int = _MEAN, delta: Operand = 1.0) -> Value:
    z = f("abs", x - t)
    return _reduced(where(f("le", z, delta), 0.5 * z * z, delta * (z - 0.5 * _value(delta))), reduction)


def huber_backward(g: Value, x: Value, t: Value, reduction: int, delta: Operand) -> Value:
    z, g = x - t, _share(g, x, reduction)
    outside = where(f("gt", z, delta), g * delta, z * g)
    return where(f("lt", z, -_value(delta)), -g * delta, outside)


def smooth_l1(x: Value, t: Value, reduction: int = _MEAN, beta: Operand = 1.0) -> Value:
    z = f("abs", x - t)
    return _reduced(where(f("lt", z, beta), 0.5 * z * z / beta, z - 0.5 * _value(beta)), reduction)


def smooth_l1_backward(g: Value, x: Value, t: Value, reduction: int, beta: Operand) -> Value:
    z, g = x - t, _share(g, x, reduction)
    return where(f("le", z, -_value(beta)), -g, where(f("ge", z, beta), g, g * z / beta))


def _value(operand: Operand) -> Value:
    return operand if isinstance(operand, Value) else number(operand)


LOSS_RULES: dict[str, Callable[..., Any]] = {
    "nll_loss_forward": nll_loss,
    "nll_loss_backward": nll_loss_backward,
    "binary_cross_entropy": bce,
    "binary_cross_entropy_backward": bce_backward,
    "binary_cross_entropy_with_logits": bce_with_logits,
    "mse_loss": mse,
    "mse_loss_backward": mse_backward,
    "huber_loss": huber,
    "huber_loss_backward": huber_backward,
    "smooth_l1_loss": smooth_l1,
    "smooth_l1_loss_backward": smooth_l1_backward,
}
