"""How torch's operators are made of core operators: arithmetic, shapes, reductions, products and indices.

A rule takes the arguments of the operator, with values in place of tensors and of floats, and returns the result.
"""

# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownLambdaType=false
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import (
    BOOL,
    COMPARISONS,
    FLOAT,
    FUNCTIONS,
    LONG,
    Operand,
    Value,
    broadcast,
    concatenate,
    cut,
    elementwise,
    gather,
    mean,
    number,
    permute,
    positions,
    product,
    reduce,
    reshape,
    scatter_add,
    transpose,
    unsqueeze,
    where,
)

TYPES = {torch.float32: FLOAT, torch.int64: LONG, torch.bool: BOOL}


def full(shape: Sequence[int], value: Operand) -> Value:
    return broadcast(value if isinstance(value, Value) else number(value), shape)


def cast(value: Value, dtype: torch.dtype | None) -> Value:
    if dtype is None or TYPES.get(dtype) == value.type:
        return value
    if dtype is torch.bool:
        return elementwise("ne", value, 0)
    if dtype not in TYPES:
        raise Uncompilable(f"it computes in {str(dtype).removeprefix('torch.')}")
    return elementwise(TYPES[dtype], value)


def clamp(value: Value, low: Operand | None = None, high: Operand | None = None, **names: Operand | None) -> Value:
    low, high = names.get("min", low), names.get("max", high)
    value = value if low is None else elementwise("maximum", value, low)
    return value if high is None else elementwise("minimum", value, high)


def power(value: Value, exponent: float) -> Value:
    """Return value ** exponent for a few exponents; the exponent is part of the key of the compiled step."""
    powers: dict[float, Callable[[], Value]] = {
        1: lambda: value,
        2: lambda: value * value,
        3: lambda: value * value * value,
        0.5: lambda: elementwise("sqrt", value),
        -0.5: lambda: 1.0 / elementwise("sqrt", value),
        -1: lambda: 1.0 / value,
    }
    if exponent not in powers:
        raise Uncompilable(f"aten.pow with exponent {exponent}")
    return powers[exponent]()


def norm(value: Value, order: float = 2, dims: Sequence[int] | None = None, keep: bool = False) -> Value:
    if order != 2:
        raise Uncompilable(f"a norm of order {order}")
    return elementwise("sqrt", reduce("sum", value * value, dims, keep))


def addmm(bias: Value, a: Value, b: Value, beta: Operand = 1, alpha: Operand = 1) -> Value:
    result = product(a, b)
    result = result if _is_one(alpha) else result * alpha
    return result + (bias if _is_one(beta) else bias * beta)


def _is_one(factor: Operand) -> bool:
    return not isinstance(factor, Value) and factor == 1


def squeeze(value: Value, dims: int | Sequence[int] | None = None) -> Value:
    count = len(value.shape)
    chosen = range(count) if dims is None else [dims] if isinstance(dims, int) else dims
    removed = {dim % count for dim in chosen if value.shape[dim] == 1}
    return reshape(value, [size for dim, size in enumerate(value.shape) if dim not in removed])


def select(value: Value, dim: int, index: int) -> Value:
    dim, index = dim % len(value.shape), index % value.shape[dim]
    return squeeze(cut(value, dim, index, index + 1), dim)


def slice_(value: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Value:
    return cut(value, dim, start or 0, value.shape[dim] if end is None else end, step)


def slice_backward(gradient: Value, shape: Sequence[int], dim: int, start: int, end: int, step: int) -> Value:
    if step != 1:
        raise Uncompilable("aten.slice_backward with a step")
    first, last, _ = slice(start, end).indices(shape[dim])
    zeros = [full([*shape[:dim], size, *shape[dim + 1 :]], 0.0) for size in (first, shape[dim] - last)]
    return concatenate([zeros[0], gradient, zeros[1]], dim)


def select_backward(gradient: Value, shape: Sequence[int], dim: int, index: int) -> Value:
    is_selected = elementwise("eq", positions(tuple(shape), dim), index % shape[dim])
    return where(is_selected, broadcast(unsqueeze(gradient, dim), shape), number(0.0))


def sum_(
    value: Value, dims: Sequence[int] | None = None, keep: bool = False, dtype: torch.dtype | None = None
) -> Value:
    return reduce("sum", cast(value, dtype), dims, keep)


def index(value: Value, indices: Sequence[Value | None]) -> Value:
    """Return `value[index]` for one index of the first dimension; negative ones count from its end."""
    chosen = indices[0]
    if len(indices) != 1 or chosen is None or chosen.type != LONG:
        raise Uncompilable("aten.index with several indices or a mask")
    return index_select(value, 0, where(elementwise("lt", chosen, 0), chosen + value.shape[0], chosen))


def logical(operator: str, *values: Value) -> Value:
    if any(value.type != BOOL for value in values):
        raise Uncompilable("bits of integers")
    return elementwise(operator, *values)


def index_select(value: Value, dim: int, chosen: Value) -> Value:
    """Return the slices of `value` at `chosen`, whose dimensions replace `dim`."""
    if not chosen.shape:
        raise Uncompilable("an index without dimensions")
    dim %= len(value.shape)
    ones, after = (1,) * (len(chosen.shape) - 1), (1,) * (len(value.shape) - dim - 1)
    spread = reshape(value, (*value.shape[:dim], *ones, *value.shape[dim:]))
    return gather(spread, dim + len(ones), reshape(chosen, (*chosen.shape, *after)))


def gather_rule(value: Value, dim: int, chosen: Value, *_: Any, **__: Any) -> Value:
    """Return `value` at `chosen` along `dim`, for an index that is not longer than the value in other dimensions."""
    for other, size in enumerate(chosen.shape):
        value = value if other == dim % len(value.shape) else cut(value, other, 0, size)
    return gather(value, dim, chosen)


def embedding_backward(gradient: Value, chosen: Value, count: int, padding: int, by_frequency: bool) -> Value:
    if by_frequency:
        raise Uncompilable("aten.embedding_dense_backward by frequency")
    rows = reshape(gradient, (chosen.size, gradient.shape[-1]))
    kept = where(unsqueeze(elementwise("ne", reshape(chosen, (-1,)), padding), 1), rows, number(0.0))
    return scatter_add(kept, reshape(chosen, (-1,)), count)


def lerp(start: Value, end: Value, weight: Operand) -> Value:
    return start + weight * (end - start)


def like(value: Operand) -> Callable[..., Value]:
    return lambda other, *_, dtype=None, **__: cast(full(other.shape, value), dtype or torch.float32)


def identity(value: Value, *_: Any, **__: Any) -> Value:
    return value


# By the name of the operator without namespace and overload; `add_` is `add`, whose result replaces the argument.
RULES: dict[str, Callable[..., Any]] = {
    **{
        name: partial(elementwise, name)
        for name in ("neg", "abs", "maximum", "minimum", "mul", "div", *FUNCTIONS, *COMPARISONS)
    },
    "add": lambda a, b, alpha=1: elementwise("add", a, b if _is_one(alpha) else elementwise("mul", b, alpha)),
    "sub": lambda a, b, alpha=1: elementwise("sub", a, b if _is_one(alpha) else elementwise("mul", b, alpha)),
    "rsub": lambda a, b, alpha=1: elementwise("sub", b, a if _is_one(alpha) else elementwise("mul", a, alpha)),
    "sgn": partial(elementwise, "sign"),
    "sign": partial(elementwise, "sign"),
    "reciprocal": lambda a: elementwise("div", number(1.0), a),
    "rsqrt": lambda a: elementwise("div", number(1.0), elementwise("sqrt", a)),
    "square": lambda a: a * a,
    "pow": power,
    "relu": lambda a: elementwise("maximum", a, 0),
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda a, high: clamp(a, None, high),
    "where": where,
    "masked_fill": lambda a, mask, value: where(mask, value, a),
    "bitwise_not": partial(logical, "not"),
    "logical_not": lambda a: logical("not", cast(a, torch.bool)),
    "bitwise_and": partial(logical, "and"),
    "logical_and": lambda a, b: logical("and", cast(a, torch.bool), cast(b, torch.bool)),
    "lerp": lerp,
    "addcmul": lambda a, b, c, value=1: a + (b * c if _is_one(value) else value * (b * c)),
    "addcdiv": lambda a, b, c, value=1: a + (b / c if _is_one(value) else value * (b / c)),
    "_to_copy": lambda a, dtype=None, **_: cast(a, dtype),
    "copy": lambda a, b, *_: broadcast(b if a.type == b.type else elementwise(a.type, b), a.shape),
    "fill": lambda a, value: full(a.shape, value),
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh", "contiguous"), identity),
    "t": lambda a: transpose(a, 0, 1) if len(a.shape) == 2 else a,
    "transpose": transpose,
    "permute": permute,
    **dict.fromkeys(("view", "_unsafe_view", "reshape"), reshape),
    "expand": lambda a, shape, **_: broadcast(a, shape),
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "select": select,
    "slice": slice_,
    "slice_backward": slice_backward,
    "select_backward": select_backward,
    "full": lambda shape, value, **_: full(shape, value),
    "scalar_tensor": lambda value, **_: full((), value),
    **dict.fromkeys(("zeros", "empty"), lambda shape, *_, **__: full(shape, 0.0)),
    "ones": lambda shape, *_, **__: full(shape, 1.0),
    **dict.fromkeys(("zeros_like", "empty_like", "zero"), like(0.0)),
    "ones_like": like(1.0),
    "full_like": lambda a, value, **_: full(a.shape, value),
    **dict.fromkeys(("new_zeros", "new_empty"), lambda _, shape, **__: full(shape, 0.0)),
    "new_ones": lambda _, shape, **__: full(shape, 1.0),
    "sum": sum_,
    "mean": lambda a, dims=None, keep=False, **_: mean(a, dims, keep),
    "amax": lambda a, dims=None, keep=False: reduce("amax", a, dims, keep),
    "linalg_vector_norm": norm,
    "_foreach_norm": lambda values, order=2: [norm(value, order) for value in values],
    "cat": concatenate,
    "stack": lambda values, dim=0: concatenate([unsqueeze(value, dim) for value in values], dim),
    "mm": product,
    "bmm": product,
    "addmm": addmm,
    "baddbmm": addmm,
    "gather": gather_rule,
    "index": index,
    "index_select": index_select,
    "embedding": lambda table, chosen, *_: index_select(table, 0, chosen),
    "embedding_dense_backward": embedding_backward,
}
