"""How torch's elementwise operators, activations, losses and their gradients are made of core operators.

A rule takes the arguments of the operator, with values in place of tensors and of floats, and returns the result. The
formulas are those of torch's kernels, in the same order where this matters for inf and NaN.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import BOOL, COMPARISONS, FLOAT, FUNCTIONS, LONG, Operand, Value, mean, reduce, where
from exp.compiled.values import elementwise as f

TYPES = {torch.float32: FLOAT, torch.int64: LONG, torch.bool: BOOL}

exp, log, sqrt, tanh, sigmoid = (partial(f, name) for name in ("exp", "log", "sqrt", "tanh", "sigmoid"))


def cast(value: Value, dtype: torch.dtype | None) -> Value:
    if dtype is not None and dtype not in TYPES:
        raise Uncompilable(f"it computes in {str(dtype).removeprefix('torch.')}")
    return value if dtype is None or TYPES[dtype] == value.type else f(TYPES[dtype], value)


def logical(operator: str, *values: Value) -> Value:
    if any(value.type != BOOL for value in values):
        raise Uncompilable("bits of integers")
    return f(operator, *values)


def scaled(factor: Operand, value: Value) -> Value:
    return value if not isinstance(factor, Value) and factor == 1 else value * factor


def clamp(x: Value, low: Operand | None = None, high: Operand | None = None, **names: Operand | None) -> Value:
    low, high = names.get("min", low), names.get("max", high)
    x = x if low is None else f("maximum", x, low)
    return x if high is None else f("minimum", x, high)


def power(x: Value, exponent: float) -> Value:
    powers: dict[float, Callable[[], Value]] = {
        1: lambda: x,
        2: lambda: x * x,
        3: lambda: x * x * x,
        -1: lambda: 1.0 / x,
        0.5: lambda: sqrt(x),
        -0.5: lambda: 1.0 / sqrt(x),
    }
    if exponent not in powers:
        raise Uncompilable(f"aten.pow with exponent {exponent}")
    return powers[exponent]()


# Activations.


def elu_backward(g: Value, alpha: Operand, scale: Operand, slope: Operand, is_result: bool, x: Value) -> Value:
    factor = f("mul", alpha, scale)
    return where(x <= 0, g * slope * (x + factor if is_result else factor * exp(x * slope)), g * scale)


def gelu_tanh(x: Value) -> Value:
    return tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


def normal_cdf(x: Value) -> Value:
    return 0.5 * (1.0 + f("erf", x * math.sqrt(0.5)))


def gelu(x: Value, approximate: str = "none") -> Value:
    return x * normal_cdf(x) if approximate == "none" else 0.5 * x * (1.0 + gelu_tanh(x))


def gelu_backward(g: Value, x: Value, approximate: str = "none") -> Value:
    if approximate == "none":
        return g * (normal_cdf(x) + x * (exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))))
    inner = gelu_tanh(x)
    slope = (1.0 - inner * inner) * math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * x * x)
    return g * (0.5 * (1.0 + inner) + 0.5 * x * slope)


def log1p_exp(x: Value) -> Value:
    return f("log1p", exp(x))


def mish_backward(g: Value, x: Value) -> Value:
    t = tanh(log1p_exp(x))
    return g * (t + x * sigmoid(x) * (1.0 - t * t))


def softplus_backward(g: Value, x: Value, beta: Operand, threshold: Operand) -> Value:
    z = exp(x * beta)
    return where(x * beta > threshold, g, g * z / (z + 1.0))


# Losses. Each has a rule for its elements, and those of its gradient for the share `g` of each.


def bce(x: Value, t: Value, weight: Value | None = None) -> Value:
    logs = [f("maximum", value, -100.0) for value in (log(x), f("log1p", -x))]
    return weighted((t - 1.0) * logs[1] - t * logs[0], weight)


def bce_backward(g: Value, x: Value, t: Value, weight: Value | None = None) -> Value:
    return weighted(g * (x - t) / f("maximum", (1.0 - x) * x, 1e-12), weight)


def bce_with_logits(x: Value, t: Value, weight: Value | None = None, positive: Value | None = None) -> Value:
    log_sigmoid = f("minimum", x, 0.0) - f("log1p", exp(-f("abs", x)))
    factor = 1.0 if positive is None else (positive - 1.0) * t + 1.0
    return weighted((1.0 - t) * x - log_sigmoid * factor, weight)


def weighted(losses: Value, weight: Value | None) -> Value:
    return losses if weight is None else losses * weight


def huber(x: Value, t: Value, delta: Operand = 1.0) -> Value:
    z = f("abs", x - t)
    return where(z <= delta, 0.5 * z * z, delta * (z - f("mul", delta, 0.5)))


def huber_backward(g: Value, x: Value, t: Value, delta: Operand) -> Value:
    z = x - t
    return where(z < f("neg", delta), -g * delta, where(z > delta, g * delta, z * g))


def smooth_l1(x: Value, t: Value, beta: Operand = 1.0) -> Value:
    z = f("abs", x - t)
    return where(z < beta, 0.5 * z * z / beta, z - f("mul", beta, 0.5))


def smooth_l1_backward(g: Value, x: Value, t: Value, beta: Operand) -> Value:
    z = x - t
    return where(z <= f("neg", beta), -g, where(f("ge", z, beta), g, g * z / beta))


def reduced(losses: Value, reduction: int) -> Value:
    """Return the loss for a reduction of torch: none, mean or sum."""
    return (lambda: losses, lambda: mean(losses), lambda: reduce("sum", losses))[reduction]()


def loss(rule: Callable[..., Value], place: int = 2) -> Callable[..., Value]:
    """Return the rule of a loss whose argument at `place` is the reduction."""
    return lambda *args: reduced(rule(*args[:place], *args[place + 1 :]), args[place] if len(args) > place else 1)


def loss_backward(rule: Callable[..., Value], place: int = 3) -> Callable[..., Value]:
    """Return the rule of its gradient: a share of each element for the mean."""

    def backward(g: Value, x: Value, *args: Any) -> Value:
        reduction = args[place - 2] if len(args) > place - 2 else 1
        return rule(g * (1.0 / x.size) if reduction == 1 else g, x, *args[: place - 2], *args[place - 1 :])

    return backward


# By the name of the operator without namespace and overload; `add_` is `add`, whose result replaces the argument.
POINTWISE: dict[str, Callable[..., Any]] = {
    **{
        name: partial(f, name) for name in ("neg", "maximum", "minimum", "mul", "div", "sign", *FUNCTIONS, *COMPARISONS)
    },
    "abs": lambda a: f("abs", a) if a.type == FLOAT else where(a < 0, -a, a),
    "add": lambda a, b, alpha=1: f("add", a, scaled(alpha, b)),
    "sub": lambda a, b, alpha=1: f("sub", a, scaled(alpha, b)),
    "rsub": lambda a, b, alpha=1: f("sub", b, scaled(alpha, a)),
    "sgn": partial(f, "sign"),
    "reciprocal": lambda a: 1.0 / a,
    "rsqrt": lambda a: 1.0 / sqrt(a),
    "square": lambda a: a * a,
    "pow": power,
    "relu": lambda a: f("maximum", a, 0),
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda a, high: clamp(a, None, high),
    "where": where,
    "masked_fill": lambda a, mask, value: where(mask, value, a),
    "bitwise_not": partial(logical, "not"),
    "logical_not": lambda a: logical("not", cast(a, torch.bool)),
    "bitwise_and": partial(logical, "and"),
    "logical_and": lambda a, b: logical("and", cast(a, torch.bool), cast(b, torch.bool)),
    "lerp": lambda start, end, weight: start + weight * (end - start),
    "addcmul": lambda a, b, c, value=1: a + scaled(value, b * c),
    "addcdiv": lambda a, b, c, value=1: a + scaled(value, b / c),
    "_to_copy": lambda a, dtype=None, **_: cast(a, dtype),
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh", "contiguous"), lambda a, **_: a),
    "threshold_backward": lambda g, x, limit: where(x <= limit, 0.0, g),
    "tanh_backward": lambda g, y: g * (1.0 - y * y),
    "sigmoid_backward": lambda g, y: g * (1.0 - y) * y,
    "leaky_relu": lambda x, slope=0.01: where(x > 0, x, x * slope),
    "leaky_relu_backward": lambda g, x, slope, _: where(x > 0, g, g * slope),
    "elu": lambda x, alpha=1, scale=1, slope=1: where(x < 0, f("expm1", x * slope) * f("mul", alpha, scale), x * scale),
    "elu_backward": elu_backward,
    "gelu": gelu,
    "gelu_backward": gelu_backward,
    "silu": lambda x: x / (1.0 + exp(-x)),
    "silu_backward": lambda g, x: g * sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
    "mish": lambda x: x * tanh(log1p_exp(x)),
    "mish_backward": mish_backward,
    "softplus": lambda x, beta=1, threshold=20: where(x * beta > threshold, x, log1p_exp(x * beta) / beta),
    "softplus_backward": softplus_backward,
    "binary_cross_entropy": loss(bce, 3),
    "binary_cross_entropy_backward": loss_backward(bce_backward, 4),
    "binary_cross_entropy_with_logits": loss(bce_with_logits, 4),
    "mse_loss": loss(lambda x, t: (x - t) * (x - t)),
    "mse_loss_backward": loss_backward(lambda g, x, t: 2.0 * g * (x - t)),
    "huber_loss": loss(huber),
    "huber_loss_backward": loss_backward(huber_backward),
    "smooth_l1_loss": loss(smooth_l1),
    "smooth_l1_loss_backward": loss_backward(smooth_l1_backward),
}
