"""How activations, normalisations and their gradients are made of core operators.

The formulas are those of torch's kernels, in the same order where this matters for inf and NaN.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import Operand, Value, mean, number, reduce, reshape, where
from exp.compiled.values import elementwise as f

# Activations.


def elu(x: Value, alpha: Operand = 1, scale: Operand = 1, input_scale: Operand = 1) -> Value:
    return where(f("lt", x, 0), f("expm1", x * input_scale) * f("mul", alpha, scale), x * scale)


def elu_backward(g: Value, alpha: Operand, scale: Operand, input_scale: Operand, is_result: bool, x: Value) -> Value:
    factor = f("mul", alpha, scale)
    below = g * input_scale * (x + factor if is_result else factor * f("exp", x * input_scale))
    return where(f("le", x, 0), below, g * scale)


_GELU = math.sqrt(2 / math.pi)


def gelu(x: Value, approximate: str = "none") -> Value:
    inner = f("erf", x * math.sqrt(0.5)) if approximate == "none" else f("tanh", _GELU * (x + 0.044715 * x * x * x))
    return 0.5 * x * (1.0 + inner)


def gelu_backward(g: Value, x: Value, approximate: str = "none") -> Value:
    if approximate == "none":
        cdf = 0.5 * (1.0 + f("erf", x * math.sqrt(0.5)))
        return g * (cdf + x * (f("exp", x * x * -0.5) * (1 / math.sqrt(2 * math.pi))))
    inner = f("tanh", _GELU * (x + 0.044715 * x * x * x))
    slope = (1.0 - inner * inner) * _GELU * (1.0 + 3 * 0.044715 * x * x)
    return g * (0.5 * (1.0 + inner) + 0.5 * x * slope)


def silu_backward(g: Value, x: Value) -> Value:
    s = f("sigmoid", x)
    return g * s * (1.0 + x * (1.0 - s))


def _log1p_exp(x: Value) -> Value:
    return f("log1p", f("exp", x))


def mish_backward(g: Value, x: Value) -> Value:
    t = f("tanh", _log1p_exp(x))
    return g * (t + x * f("sigmoid", x) * (1.0 - t * t))


def softplus(x: Value, beta: Operand = 1, threshold: Operand = 20) -> Value:
    return where(f("gt", x * beta, threshold), x, _log1p_exp(x * beta) / beta)


def softplus_backward(g: Value, x: Value, beta: Operand, threshold: Operand) -> Value:
    z = f("exp", x * beta)
    return where(f("gt", x * beta, threshold), g, g * z / (z + 1.0))


def log_softmax(x: Value, dim: int, _half: bool) -> Value:
    shifted = x - reduce("amax", x, [dim], True)
    return shifted - f("log", reduce("sum", f("exp", shifted), [dim], True))


def log_softmax_backward(g: Value, output: Value, dim: int, _dtype: torch.dtype) -> Value:
    return g - f("exp", output) * reduce("sum", g, [dim], True)


def softmax(x: Value, dim: int, _half: bool) -> Value:
    e = f("exp", x - reduce("amax", x, [dim], True))
    return e / reduce("sum", e, [dim], True)


def softmax_backward(g: Value, output: Value, dim: int, _dtype: torch.dtype) -> Value:
    return (g - reduce("sum", g * output, [dim], True)) * output


# Normalisations.


def layer_norm(
    x: Value, shape: Sequence[int], weight: Value | None, bias: Value | None, eps: Operand
) -> tuple[Value, Value, Value]:
    dims = range(-len(shape), 0)
    center = mean(x, dims, True)
    scale = 1.0 / f("sqrt", mean((x - center) * (x - center), dims, True) + eps)
    result = (x - center) * scale
    result = result if weight is None else result * weight
    return result if bias is None else result + bias, center, scale


def layer_norm_backward(
    g: Value, x: Value, shape: Sequence[int], center: Value, scale: Value, weight: Value | None, *_: Any
) -> tuple[Value, Value, Value]:
    dims, outer = range(-len(shape), 0), range(len(x.shape) - len(shape))
    if not outer:
        raise Uncompilable("aten.native_layer_norm_backward of one row")
    normal = (x - center) * scale
    weighted = g if weight is None else g * weight
    result = scale * (weighted - mean(weighted, dims, True) - normal * mean(weighted * normal, dims, True))
    return result, reduce("sum", g * normal, outer), reduce("sum", g, outer)


def _over_rows(x: Value) -> tuple[list[int], tuple[int, ...]]:
    """Return the dimensions that batch norms average over, and the shape of an average that broadcasts to x."""
    dims = [dim for dim in range(len(x.shape)) if dim != 1]
    return dims, tuple(1 if dim in dims else size for dim, size in enumerate(x.shape))


def batch_norm(
    x: Value, weight: Value | None, bias: Value | None, running_mean: Value | None, running_var: Value | None,
    training: bool, momentum: Operand, eps: Operand,
) -> tuple[Value, ...]:  # fmt: skip
    """Return the result, the mean and scale of the batch, and the new running mean and variance."""
    if not training:
        raise Uncompilable("aten.native_batch_norm in evaluation mode")
    dims, shape = _over_rows(x)
    center = mean(x, dims, True)
    variance = mean((x - center) * (x - center), dims, True)
    scale = 1.0 / f("sqrt", variance + eps)
    result = (x - center) * scale
    result = result if weight is None else result * reshape(weight, shape)
    result = result if bias is None else result + reshape(bias, shape)
    center, variance, scale = (reshape(value, (-1,)) for value in (center, variance, scale))
    if running_mean is None or running_var is None:
        return result, center, scale
    count = x.size // center.size
    unbiased = variance * (count / max(1, count - 1))
    kept = f("sub", 1.0, momentum)
    return result, center, scale, kept * running_mean + momentum * center, kept * running_var + momentum * unbiased


def batch_norm_backward(
    g: Value, x: Value, weight: Value | None, _mean: Value | None, _var: Value | None, center: Value, scale: Value,
    training: bool, *_: Any,
) -> tuple[Value, Value, Value]:  # fmt: skip
    if not training:
        raise Uncompilable("aten.native_batch_norm in evaluation mode")
    dims, shape = _over_rows(x)
    normal = (x - reshape(center, shape)) * reshape(scale, shape)
    of_weight, of_bias = reduce("sum", g * normal, dims, True), reduce("sum", g, dims, True)
    rows = x.size // center.size
    result = (g - of_bias * (1.0 / rows) - normal * (of_weight * (1.0 / rows))) * reshape(scale, shape)
    result = result if weight is None else result * reshape(weight, shape)
    return result, reshape(of_weight, (-1,)), reshape(of_bias, (-1,))


LAYER_RULES: dict[str, Callable[..., Any]] = {
    "threshold_backward": lambda g, x, limit: where(f("le", x, limit), number(0.0), g),
    "tanh_backward": lambda g, y: g * (1.0 - y * y),
    "sigmoid_backward": lambda g, y: g * (1.0 - y) * y,
    "leaky_relu": lambda x, slope=0.01: where(f("gt", x, 0), x, x * slope),
    "leaky_relu_backward": lambda g, x, slope, _: where(f("gt", x, 0), g, g * slope),
    "elu": elu,
    "elu_backward": elu_backward,
    "gelu": gelu,
    "gelu_backward": gelu_backward,
    "silu": lambda x: x / (1.0 + f("exp", -x)),
    "silu_backward": silu_backward,
    "mish": lambda x: x * f("tanh", _log1p_exp(x)),
    "mish_backward": mish_backward,
    "softplus": softplus,
    "softplus_backward": softplus_backward,
    "_log_softmax": log_softmax,
    "_log_softmax_backward_data": log_softmax_backward,
    "_softmax": softmax,
    "_softmax_backward_data": softmax_backward,
    "native_layer_norm": layer_norm,
    "native_layer_norm_backward": layer_norm_backward,
    "native_batch_norm": batch_norm,
    "native_batch_norm_backward": batch_norm_backward,
}
