"""How torch's activation functions and their derivatives are made of core operators.

A derivative's first argument is the gradient of the result. An infinite or NaN input gives what torch's kernels give.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from exp.compiled.values import Operand, Value, where
from exp.compiled.values import elementwise as f

exp, tanh, sigmoid = (partial(f, name) for name in ("exp", "tanh", "sigmoid"))

# Of gelu(x) = x * Phi(x), and of its approximation by tanh.
_SQRT_HALF, _SQRT_2_OVER_PI, _CUBIC = math.sqrt(0.5), math.sqrt(2 / math.pi), 0.044715


def elu(x: Value, alpha: Operand = 1, scale: Operand = 1, input_scale: Operand = 1) -> Value:
    return where(x > 0, x * scale, f("expm1", x * input_scale) * alpha * scale)


def elu_backward(g: Value, alpha: Operand, scale: Operand, input_scale: Operand, is_result: bool, x: Value) -> Value:
    """`x` is the result of elu if `is_result`."""
    slope = g * input_scale
    below = slope * (x + f("mul", alpha, scale)) if is_result else slope * alpha * scale * exp(x * input_scale)
    return where(x <= 0, below, g * scale)


def softplus(x: Value, beta: Operand = 1, threshold: Operand = 20) -> Value:
    return where(x * beta > threshold, x, f("log1p", exp(x * beta)) / beta)


def softplus_backward(g: Value, x: Value, beta: Operand, threshold: Operand) -> Value:
    power = exp(x * beta)
    return where(x * beta > threshold, g, g * power / (power + 1.0))


def log_sigmoid(x: Value) -> Value:
    return f("minimum", x, 0) - f("log1p", exp(-f("abs", x)))


def silu_backward(g: Value, x: Value) -> Value:
    s = sigmoid(x)
    return g * s * (x * (1.0 - s) + 1.0)


def mish_backward(g: Value, x: Value) -> Value:
    t = tanh(softplus(x))
    return g * (t + x * sigmoid(x) * (1.0 - t * t))


def gelu(x: Value, approximate: str = "none") -> Value:
    if approximate == "tanh":
        return x * 0.5 * (tanh(_inner(x)) + 1.0)
    return x * 0.5 * (f("erf", x * _SQRT_HALF) + 1.0)


def gelu_backward(g: Value, x: Value, approximate: str = "none") -> Value:
    if approximate == "tanh":
        t = tanh(_inner(x))
        of_inner = (x * x * (3 * _CUBIC) + 1.0) * _SQRT_2_OVER_PI
        return g * ((t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * of_inner)
    density = exp(x * x * -0.5) * (0.5 * _SQRT_2_OVER_PI)
    return g * ((f("erf", x * _SQRT_HALF) + 1.0) * 0.5 + x * density)


def _inner(x: Value) -> Value:
    return (x + x * x * x * _CUBIC) * _SQRT_2_OVER_PI


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": lambda x: f("maximum", x, 0),
    "threshold_backward": lambda g, x, threshold: where(x <= threshold, 0.0, g),
    "leaky_relu": lambda x, slope=0.01: where(x > 0, x, x * slope),
    "leaky_relu_backward": lambda g, x, slope, _: where(x > 0, g, g * slope),
    "sigmoid_backward": lambda g, y: g * (y * (1.0 - y)),
    "tanh_backward": lambda g, y: g * (1.0 - y * y),
    "elu": elu,
    "elu_backward": elu_backward,
    "softplus": softplus,
    "softplus_backward": softplus_backward,
    "silu": lambda x: x * sigmoid(x),
    "silu_backward": silu_backward,
    "mish": lambda x: x * tanh(softplus(x)),
    "mish_backward": mish_backward,
    "gelu": gelu,
    "gelu_backward": gelu_backward,
}
