"""Numbers that kernels compute: from elements of buffers, by elementwise operators."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias, Union

from exp.compiled.values import FLOAT, LONG

# The type of variables that add up many floats.
DOUBLE = "double"

# An index: a coefficient for each loop variable, those at the end that are 0 left out, and a constant.
Index: TypeAlias = tuple[tuple[int, ...], int]

# A number that is computed from elements of buffers.
Scalar: TypeAlias = Union["Load", "Apply", "Literal", "Slot", "Position", "Local"]


@dataclass(frozen=True)
class Buffer:
    """An argument of the library, or a part of its work space."""

    name: str
    size: int
    type: str = FLOAT
    is_work: bool = False


@dataclass(frozen=True)
class Array:
    """A view of a buffer."""

    buffer: Buffer
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def is_contiguous(self) -> bool:
        pairs = zip(self.strides, contiguous_strides(self.shape), self.shape, strict=True)
        return all(own == wanted or size == 1 for own, wanted, size in pairs)


@dataclass(frozen=True)
class Load:
    """The element of a buffer at an index, to which a computed index times a stride may be added."""

    buffer: Buffer
    index: Index
    computed: "Scalar | None" = None
    stride: int = 0

    @property
    def type(self) -> str:
        return self.buffer.type


@dataclass(frozen=True)
class Apply:
    """An elementwise operator."""

    operator: str
    operands: tuple["Scalar", ...]
    type: str = FLOAT

    def __post_init__(self) -> None:
        # An operand may occur many times: its hash is computed once.
        object.__setattr__(self, "_hash", hash((self.operator, self.operands, self.type)))

    def __hash__(self) -> int:
        return self._hash  # pyright: ignore[reportUnknownVariableType, reportAttributeAccessIssue]


@dataclass(frozen=True)
class Literal:
    value: float
    type: str


@dataclass(frozen=True)
class Slot:
    """A float that the caller passes: of the recorded calls (`floats`), or of this update (`numbers`)."""

    of: str
    number: int
    type: str = FLOAT


@dataclass(frozen=True)
class Position:
    index: Index
    type: str = LONG


@dataclass(frozen=True)
class Local:
    """A variable of a kernel."""

    name: str
    type: str = FLOAT


def loads(scalar: Scalar) -> set[Load]:
    """Return all elements that the scalar is computed from."""
    if isinstance(scalar, Load):
        return {scalar} | (loads(scalar.computed) if scalar.computed is not None else set())
    operands = scalar.operands if isinstance(scalar, Apply) else ()
    return {load for operand in operands for load in loads(operand)}


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[dim + 1 :]) for dim in range(len(shape)))


def rewrite(scalar: Scalar, change: Callable[[Index], Index]) -> Scalar:
    """Return the scalar with other indices."""

    @cache  # an operand that occurs several times stays one object
    def rewritten(scalar: Scalar) -> Scalar:
        if isinstance(scalar, Load):
            computed = None if scalar.computed is None else rewritten(scalar.computed)
            return replace(scalar, index=change(scalar.index), computed=computed)
        if isinstance(scalar, Position):
            return replace(scalar, index=change(scalar.index))
        if isinstance(scalar, Apply):
            return replace(scalar, operands=tuple(map(rewritten, scalar.operands)))
        return scalar

    return rewritten(scalar)


def coefficient(index: Index, dim: int) -> int:
    return index[0][dim] if dim < len(index[0]) else 0


def at(scalar: Scalar, dim: int, position: int) -> Scalar:
    """Return the scalar for one value of a loop variable."""

    def change(index: Index) -> Index:
        fixed = tuple(0 if one == dim else factor for one, factor in enumerate(index[0]))
        return fixed, index[1] + coefficient(index, dim) * position

    return rewrite(scalar, change)
