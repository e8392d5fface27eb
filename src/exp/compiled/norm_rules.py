"""How torch's softmax and norms, and their gradients, are made of core operators."""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
from collections.abc import Callable, Sequence
from typing import Any

from exp.compiled.pointwise_rules import exp, log, sqrt
from exp.compiled.tensor_rules import check
from exp.compiled.values import Operand, Value, elementwise, mean, reduce, reshape


def softmax(x: Value, dim: int, _half: bool) -> Value:
    e = exp(x - reduce("amax", x, [dim], True))
    return e / reduce("sum", e, [dim], True)


def log_softmax(x: Value, dim: int, _half: bool) -> Value:
    shifted = x - reduce("amax", x, [dim], True)
    return shifted - log(reduce("sum", exp(shifted), [dim], True))


def normalize(x: Value, dims: Sequence[int], eps: Operand) -> tuple[Value, Value, Value, Value]:
    """Return x with mean 0 and variance 1 over dimensions; the mean, the variance, and the scale."""
    center = mean(x, dims, True)
    variance = mean((x - center) * (x - center), dims, True)
    scale = 1.0 / sqrt(variance + eps)
    return (x - center) * scale, center, variance, scale


def normalize_backward(g: Value, x: Value, center: Value, scale: Value, dims: Sequence[int]) -> Value:
    normal = (x - center) * scale
    return scale * (g - mean(g, dims, True) - normal * mean(g * normal, dims, True))


def affine(x: Value, weight: Value | None, bias: Value | None) -> Value:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def layer_norm(
    x: Value, shape: Sequence[int], weight: Value | None, bias: Value | None, eps: Operand
) -> tuple[Value, Value, Value]:
    result, center, _, scale = normalize(x, range(-len(shape), 0), eps)
    return affine(result, weight, bias), center, scale


def layer_norm_backward(
    g: Value, x: Value, shape: Sequence[int], center: Value, scale: Value, weight: Value | None, *_: Any
) -> tuple[Value, Value, Value]:
    dims, outer = range(-len(shape), 0), range(len(x.shape) - len(shape))
    check(bool(outer), "native_layer_norm_backward of one row")
    of_weight = reduce("sum", g * ((x - center) * scale), outer)
    return normalize_backward(affine(g, weight, None), x, center, scale, dims), of_weight, reduce("sum", g, outer)


def over_rows(x: Value, *vectors: Value | None) -> tuple[list[int], list[Value | None]]:
    """Return the dimensions that batch norms average over, and vectors in a shape that broadcasts to x."""
    dims = [dim for dim in range(len(x.shape)) if dim != 1]
    shape = tuple(1 if dim in dims else size for dim, size in enumerate(x.shape))
    return dims, [None if vector is None else reshape(vector, shape) for vector in vectors]


def batch_norm(
    x: Value, weight: Value | None, bias: Value | None, running_mean: Value | None, running_var: Value | None,
    training: bool, momentum: Operand, eps: Operand,
) -> tuple[Value, ...]:  # fmt: skip
    """Return the result, the mean and scale of the batch, and the new running mean and variance."""
    check(training, "native_batch_norm in evaluation mode")
    dims, (weight, bias) = over_rows(x, weight, bias)
    result, *vectors = normalize(x, dims, eps)
    center, variance, scale = (reshape(vector, (-1,)) for vector in vectors)
    results = affine(result, weight, bias), center, scale
    if running_mean is None or running_var is None:
        return results
    count = x.size // center.size
    kept, unbiased = elementwise("sub", 1.0, momentum), variance * (count / max(1, count - 1))
    return *results, kept * running_mean + momentum * center, kept * running_var + momentum * unbiased


def batch_norm_backward(
    g: Value, x: Value, weight: Value | None, _mean: Value | None, _var: Value | None, center: Value, scale: Value,
    training: bool, *_: Any,
) -> tuple[Value, Value, Value]:  # fmt: skip
    check(training, "native_batch_norm in evaluation mode")
    dims, (factor, middle, scales) = over_rows(x, weight, center, scale)
    assert middle is not None
    assert scales is not None
    of_weight = reduce("sum", g * ((x - middle) * scales), dims)
    return normalize_backward(affine(g, factor, None), x, middle, scales, dims), of_weight, reduce("sum", g, dims)


NORM_RULES: dict[str, Callable[..., Any]] = {
    "_softmax": softmax,
    "_softmax_backward_data": lambda g, y, dim, _: (g - reduce("sum", g * y, [dim], True)) * y,
    "_log_softmax": log_softmax,
    "_log_softmax_backward_data": lambda g, y, dim, _: g - exp(y) * reduce("sum", g, [dim], True),
    "native_layer_norm": layer_norm,
    "native_layer_norm_backward": layer_norm_backward,
    "native_batch_norm": batch_norm,
    "native_batch_norm_backward": batch_norm_backward,
}
