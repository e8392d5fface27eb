"""How torch's operators on whole tensors are made of core operators: shapes, sums, products, indices and norms."""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false
import math
from collections.abc import Callable, Sequence
from typing import Any

from exp.compiled.pointwise_rules import cast, scaled, sqrt
from exp.compiled.uncompilable import Uncompilable, because_of_operator
from exp.compiled.values import (
    LONG,
    Operand,
    Value,
    broadcast,
    concatenate,
    cut,
    elementwise,
    gather,
    mean,
    permute,
    product,
    reduce,
    reshape,
    unsqueeze,
    where,
)


def check(is_supported: bool, operator: str) -> None:
    if not is_supported:
        raise Uncompilable(because_of_operator(operator))


def transpose(value: Value, a: int, b: int) -> Value:
    dims = list(range(len(value.shape)))
    dims[a], dims[b] = dims[b], dims[a]
    return permute(value, dims)


def squeeze(value: Value, dims: int | Sequence[int] | None = None) -> Value:
    count = len(value.shape)
    chosen = range(count) if dims is None else [dims] if isinstance(dims, int) else dims
    removed = {dim % count for dim in chosen if value.shape[dim] == 1}
    return reshape(value, [size for dim, size in enumerate(value.shape) if dim not in removed])


def select(value: Value, dim: int, index: int) -> Value:
    index %= value.shape[dim]
    return squeeze(cut(value, dim, index, index + 1), dim)


def slice_backward(gradient: Value, shape: Sequence[int], dim: int, start: int, end: int, step: int) -> Value:
    check(step == 1, "slice_backward with a step")
    first, last, _ = slice(start, end).indices(shape[dim])
    zeros = [broadcast(0.0, [*shape[:dim], size, *shape[dim + 1 :]]) for size in (first, shape[dim] - last)]
    return concatenate([zeros[0], gradient, zeros[1]], dim)


def select_backward(gradient: Value, shape: Sequence[int], dim: int, index: int) -> Value:
    index %= shape[dim]
    return slice_backward(unsqueeze(gradient, dim % len(shape)), shape, dim, index, index + 1, 1)


def norm(value: Value, order: float = 2, dims: Sequence[int] | None = None, keep: bool = False) -> Value:
    check(order == 2, f"norm of order {order}")
    return sqrt(reduce("sum", value * value, dims, keep))


def addmm(bias: Value, a: Value, b: Value, beta: Operand = 1, alpha: Operand = 1) -> Value:
    return scaled(alpha, product(a, b)) + scaled(beta, bias)


def like(number: Operand) -> Callable[..., Value]:
    """Return the rule of an operator whose result is one number everywhere, in the shape of its argument or in it."""
    return lambda shape, *_, **__: broadcast(number, shape.shape if isinstance(shape, Value) else shape)


# Indices.


def index_select(value: Value, dim: int, chosen: Value) -> Value:
    """Return the slices of `value` at `chosen`, whose dimensions replace `dim`."""
    check(bool(chosen.shape), "index without dimensions")
    dim %= len(value.shape)
    ones, after = (1,) * (len(chosen.shape) - 1), (1,) * (len(value.shape) - dim - 1)
    spread = reshape(value, (*value.shape[:dim], *ones, *value.shape[dim:]))
    return gather(spread, dim + len(ones), reshape(chosen, (*chosen.shape, *after)))


def index(value: Value, indices: Sequence[Value | None]) -> Value:
    """Return `value[index]` for one index of the first dimension; negative ones count from its end."""
    chosen = indices[0]
    if len(indices) != 1 or chosen is None or chosen.type != LONG:
        raise Uncompilable(because_of_operator("index with several indices or a mask"))
    return index_select(value, 0, where(chosen < 0, chosen + value.shape[0], chosen))


def embedding_backward(gradient: Value, chosen: Value, count: int, padding: int, by_frequency: bool) -> Value:
    check(not by_frequency, "embedding_dense_backward by frequency")
    chosen, width = reshape(chosen, (-1,)), gradient.shape[-1]
    kept = where(unsqueeze(elementwise("ne", chosen, padding), 1), reshape(gradient, (chosen.size, width)), 0.0)
    return Value("scatter_add", (kept, chosen), (count, width))  # the sums of the rows with equal index


def var_mean(
    value: Value, dims: Sequence[int] | None = None, correction: float = 1, keepdim: bool = False
) -> tuple[Value, Value]:
    """The correction is part of the key of a compiled step."""
    center = mean(value, dims, True)
    squares = reduce("sum", (value - center) * (value - center), dims, keepdim)
    count = value.size // max(1, squares.size)
    return squares * (1 / (count - correction) if count > correction else math.nan), mean(value, dims, keepdim)


TENSOR_RULES: dict[str, Callable[..., Any]] = {
    "copy": lambda a, b, *_: broadcast(b, a.shape),
    "t": lambda a: transpose(a, 0, 1) if len(a.shape) == 2 else a,
    "transpose": transpose,
    "permute": permute,
    **dict.fromkeys(("view", "_unsafe_view", "reshape"), reshape),
    "expand": lambda a, shape, **_: broadcast(a, shape),
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "select": select,
    "slice": cut,
    "slice_backward": slice_backward,
    "select_backward": select_backward,
    "full": lambda shape, value, **_: broadcast(value, shape),
    "fill": lambda a, value: broadcast(value, a.shape),
    "full_like": lambda a, value, **_: broadcast(value, a.shape),
    "scalar_tensor": lambda value, **_: broadcast(value, ()),
    **dict.fromkeys(("zeros", "empty", "zeros_like", "empty_like", "zero"), like(0)),
    **dict.fromkeys(("ones", "ones_like"), like(1)),
    **dict.fromkeys(("new_zeros", "new_empty"), lambda _, shape, **__: broadcast(0, shape)),
    "new_full": lambda _, shape, value, **__: broadcast(value, shape),
    "new_ones": lambda _, shape, **__: broadcast(1, shape),
    "sum": lambda a, dims=None, keep=False, dtype=None: reduce("sum", cast(a, dtype), dims, keep),
    "mean": lambda a, dims=None, keep=False, **_: mean(a, dims, keep),
    "amax": lambda a, dims=None, keep=False: reduce("amax", a, dims, keep),
    "linalg_vector_norm": norm,
    "_foreach_norm": lambda values, order=2: [norm(value, order) for value in values],
    "cat": concatenate,
    "stack": lambda values, dim=0: concatenate([unsqueeze(value, dim) for value in values], dim),
    "mm": product,
    "bmm": product,
    **dict.fromkeys(("addmm", "baddbmm"), addmm),  # faster than what torch makes of it
    "index": index,
    "index_select": index_select,
    "embedding": lambda table, chosen, *_: index_select(table, 0, chosen),
    "embedding_dense_backward": embedding_backward,
    "var_mean": var_mean,
}
