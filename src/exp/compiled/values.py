"""The values of a step: arrays that core operators compute from other arrays.

A value has a shape and one of three types: float (float32), long (int64) and bool. Elementwise operators broadcast as
in torch, and mixed types become floats.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

from numpy import broadcast_shapes

FLOAT, LONG, BOOL = "float", "long", "bool"

Shape: TypeAlias = tuple[int, ...]
Operand: TypeAlias = Union["Value", int, float]

# Elementwise operators in C. Those of floats are functions of functions.h.
FUNCTIONS = ("abs", "sqrt", "exp", "expm1", "log", "log1p", "erf", "sin", "cos", "tanh", "sigmoid")
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
ELEMENTWISE = {
    **{name: f"f_{name}({{0}})" for name in FUNCTIONS},
    **{name: f"{{0}} {symbol} {{1}}" for name, symbol in COMPARISONS.items()},
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "(float){0} / {1}",
    "neg": "-{0}",
    "and": "{0} & {1}",
    "not": "!{0}",
    "sign": "({0} > 0) - ({0} < 0)",
    "where": "{0} ? {1} : {2}",
    "maximum": "({0} > {1}) | ({0} != {0}) ? {0} : {1}",  # of NaN and a number: NaN
    "minimum": "({0} < {1}) | ({0} != {0}) ? {0} : {1}",
    FLOAT: "{0}",
    LONG: "{0}",
    BOOL: "{0} != 0",  # C converts what is assigned
}
_OF_BOOLS = (*COMPARISONS, "and", "not", BOOL)

# Operators that only rearrange elements, and those without operands.
VIEWS = frozenset(("permute", "broadcast", "slice", "reshape"))
LEAVES = frozenset(("input", "float_slot", "number_slot", "complement_slot", "number", "position"))


@dataclass(frozen=True, eq=False)
class Value:
    """The result of a core operator.

    Attributes:
        numbers: What the operator needs besides its operands, such as dimensions; a literal for `number`.
    """

    operator: str
    operands: tuple["Value", ...]
    shape: Shape
    type: str = FLOAT
    numbers: tuple[int | float, ...] = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __add__(self, other: Operand) -> "Value":
        return elementwise("add", self, other)

    def __sub__(self, other: Operand) -> "Value":
        return elementwise("sub", self, other)

    def __rsub__(self, other: Operand) -> "Value":
        return elementwise("sub", other, self)

    def __mul__(self, other: Operand) -> "Value":
        return elementwise("mul", self, other)

    def __truediv__(self, other: Operand) -> "Value":
        return elementwise("div", self, other)

    def __rtruediv__(self, other: Operand) -> "Value":
        return elementwise("div", other, self)

    def __neg__(self) -> "Value":
        return elementwise("neg", self)

    def __lt__(self, other: Operand) -> "Value":
        return elementwise("lt", self, other)

    def __le__(self, other: Operand) -> "Value":
        return elementwise("le", self, other)

    def __gt__(self, other: Operand) -> "Value":
        return elementwise("gt", self, other)


def elementwise(operator: str, *operands: Operand) -> Value:
    """Return an elementwise operator of values and numbers, broadcast to one shape."""
    values = [as_value(one) for one in operands]
    if operator in (FLOAT, LONG):
        kind = operator
    elif operator in _OF_BOOLS:
        kind = BOOL
    else:
        is_float = operator in ("div", *FUNCTIONS) or FLOAT in {one.type for one in values[operator == "where" :]}
        kind = FLOAT if is_float else LONG
    return Value(operator, tuple(values), broadcast_shapes(*(value.shape for value in values)), kind)


def as_value(operand: Operand) -> Value:
    if isinstance(operand, Value):
        return operand
    return Value("number", (), (), FLOAT if isinstance(operand, float) else LONG, (operand,))


def where(condition: Value, a: Operand, b: Operand) -> Value:
    return elementwise("where", condition, a, b)


def permute(value: Value, dims: Sequence[int]) -> Value:
    """Return a view whose dimension i is dimension `dims[i]` of `value`."""
    dims = tuple(dim % len(value.shape) for dim in dims)
    return Value("permute", (value,), tuple(value.shape[dim] for dim in dims), value.type, dims)


def broadcast(value: Operand, shape: Sequence[int]) -> Value:
    """Return a view of this shape; -1 keeps the size of a dimension."""
    value = as_value(value)
    own = (1,) * (len(shape) - len(value.shape)) + value.shape
    sizes = tuple(old if new == -1 else new for old, new in zip(own, shape, strict=True))
    return Value("broadcast", (value,), sizes, value.type)


def reshape(value: Value, shape: Sequence[int]) -> Value:
    """Return the elements in the same order in this shape, where one size may be -1."""
    known = math.prod(size for size in shape if size != -1)
    sizes = tuple(value.size // max(1, known) if size == -1 else size for size in shape)
    return value if sizes == value.shape else Value("reshape", (value,), sizes, value.type)


def unsqueeze(value: Value, dim: int) -> Value:
    dim %= len(value.shape) + 1
    return reshape(value, (*value.shape[:dim], 1, *value.shape[dim:]))


def cut(value: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Value:
    """Return `value[..., start:end:step, ...]`."""
    dim %= len(value.shape)
    places = range(value.shape[dim])[start:end:step]
    shape = (*value.shape[:dim], len(places), *value.shape[dim + 1 :])
    return Value("slice", (value,), shape, value.type, (dim, places.start, step))


def reduce(operator: str, value: Value, dims: Sequence[int] | None = None, keep: bool = False) -> Value:
    """Return the `sum` or the `amax` over dimensions; None or none: over all."""
    count = len(value.shape)
    chosen = tuple(sorted({dim % count for dim in dims})) if dims else tuple(range(count))
    kept = tuple(1 if dim in chosen else size for dim, size in enumerate(value.shape))
    kind = LONG if value.type == BOOL else value.type
    if not value.size:
        value = broadcast(0.0 if kind == FLOAT else 0, kept)
    result = Value(operator, (value,), kept, kind, chosen)
    return result if keep else reshape(result, tuple(size for dim, size in enumerate(value.shape) if dim not in chosen))


def mean(value: Value, dims: Sequence[int] | None = None, keep: bool = False) -> Value:
    total = reduce("sum", value, dims, keep)
    return total * (max(1, total.size) / max(1, value.size))


def product(a: Value, b: Value) -> Value:
    """Return the matrix products of [..., M, K] and [..., K, N], which have equal leading dimensions."""
    shape = (*a.shape[:-1], b.shape[-1])
    if a.shape[-1] == 1:  # an outer product
        return broadcast(a, shape) * broadcast(b, shape)
    return Value("product", (a, b), shape)


def gather(value: Value, dim: int, index: Value) -> Value:
    """Return `value` at `index` along `dim`; the other dimensions of `index` broadcast to those of `value`."""
    dim %= len(value.shape)
    sizes = (*value.shape[:dim], 1, *value.shape[dim + 1 :])
    return Value("gather", (value, index), broadcast_shapes(sizes, index.shape), value.type, (dim,))


def concatenate(values: Sequence[Value], dim: int = 0) -> Value:
    """Return the values one after the other, in the widest of their types."""
    widest = next(kind for kind in (FLOAT, LONG, BOOL) if any(value.type == kind for value in values))
    values = [value if value.type == widest else elementwise(widest, value) for value in values]
    values = [value for value in values if value.size or len(value.shape) > 1]  # torch ignores empty vectors
    if len(values) == 1:
        return values[0]
    dim %= len(values[0].shape)
    total = sum(value.shape[dim] for value in values)
    shape = (*values[0].shape[:dim], total, *values[0].shape[dim + 1 :])
    return Value("cat", tuple(values), shape, widest, (dim,))
