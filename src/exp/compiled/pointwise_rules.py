"""How torch's elementwise operators are made of core operators.

A rule takes the arguments of the operator, with values in place of tensors and of floats, and returns the result.
"""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from exp.compiled.uncompilable import Uncompilable, because_of_operator, because_of_type
from exp.compiled.values import BOOL, COMPARISONS, FLOAT, FUNCTIONS, LONG, Operand, Value, where
from exp.compiled.values import elementwise as f

TYPES = {torch.float32: FLOAT, torch.int64: LONG, torch.bool: BOOL}

sqrt = partial(f, "sqrt")


def cast(value: Value, dtype: torch.dtype | None) -> Value:
    if dtype is not None and dtype not in TYPES:
        raise Uncompilable(because_of_type(dtype))
    return value if dtype is None or TYPES[dtype] == value.type else f(TYPES[dtype], value)


def logical(operator: str, *values: Value) -> Value:
    if any(value.type != BOOL for value in values):
        raise Uncompilable("the bits of integers are not compiled")
    return f(operator, *values)


def scaled(factor: Operand, value: Value) -> Value:
    return value if not isinstance(factor, Value) and factor == 1 else value * factor


def clamp(x: Value, low: Operand | None, high: Operand | None = None) -> Value:
    x = x if low is None else f("maximum", x, low)
    return x if high is None else f("minimum", x, high)


def power(x: Value, exponent: float) -> Value:
    powers = {1: x, 2: x * x, 3: x * x * x, -1: 1.0 / x, 0.5: sqrt(x), -0.5: 1.0 / sqrt(x)}
    if exponent not in powers:
        raise Uncompilable(because_of_operator("pow with another exponent than 1, 2, 3, -1, 0.5 and -0.5"))
    return powers[exponent]


def lerp(start: Value, end: Value, weight: Operand) -> Value:
    """Return start + weight * (end - start), computed from the end that is nearer."""
    is_far = f("ge", f("abs", weight), 0.5)
    return where(is_far, f("sub", weight, 1.0), weight) * (end - start) + where(is_far, end, start)


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
    "addcmul": lambda a, b, c, value=1: a + scaled(value, b) * c,
    "addcdiv": lambda a, b, c, value=1: a + scaled(value, b) / c,
    "lerp": lerp,
    "reciprocal": lambda a: 1.0 / a,
    "rsqrt": lambda a: 1.0 / sqrt(a),
    "pow": power,
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda a, high: clamp(a, None, high),
    "where": where,
    "masked_fill": lambda a, mask, value: where(mask, value, a),
    "bitwise_not": partial(logical, "not"),
    "logical_not": lambda a: logical("not", cast(a, torch.bool)),
    "bitwise_and": partial(logical, "and"),
    "logical_and": lambda a, b: logical("and", cast(a, torch.bool), cast(b, torch.bool)),
    "_to_copy": lambda a, dtype=None, **_: cast(a, dtype),
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh", "contiguous"), lambda a, **_: a),
}
