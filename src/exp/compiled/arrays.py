"""Where values are in memory: arrays are views of buffers, and indices lead from loops to their elements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from exp.compiled.values import FLOAT, Shape, Value

# An index of one dimension: a constant, and the factor of each loop variable; those that are left out are 0.
Index: TypeAlias = tuple[int, ...]
FIRST: Index = (0,)


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
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @classmethod
    def whole(cls, buffer: Buffer, shape: Shape) -> "Array":
        return cls(buffer, shape, tuple(math.prod(shape[dim + 1 :]) for dim in range(len(shape))))

    @property
    def is_contiguous(self) -> bool:
        wanted = Array.whole(self.buffer, self.shape).strides
        return all(a == b or size == 1 for a, b, size in zip(self.strides, wanted, self.shape, strict=True))

    def place(self, index: Sequence[Index]) -> Index:
        """Return the place in the buffer of the element at an index for each dimension."""
        result: Index = (self.offset,)
        for stride, one in zip(self.strides, index, strict=True):
            result = tuple(a + stride * b for a, b in zip_longest(result, one, fillvalue=0))
        return result


def identity(count: int) -> list[Index]:
    """Return the index of each dimension where each has its own loop."""
    return [(*(0 for _ in range(dim + 1)), 1) for dim in range(count)]


def factor(index: Index, loop: int) -> int:
    return index[loop + 1] if loop + 1 < len(index) else 0


def fix(indices: Sequence[Index], loop: int, at: int) -> list[Index]:
    """Return the indices for one value of a loop variable."""
    return [
        (one[0] + factor(one, loop) * at, *(0 if other == loop else x for other, x in enumerate(one[1:])))
        for one in indices
    ]


def broadcast_index(shape: Shape, index: Sequence[Index]) -> list[Index]:
    """Return the index into an array of `shape` that broadcasts to the dimensions of `index`."""
    own = index[len(index) - len(shape) :]
    return [FIRST if size == 1 else one for size, one in zip(shape, own, strict=True)]


def is_squeeze(value: Value) -> bool:
    """Return whether a reshape only adds and removes dimensions of size 1."""
    before, after = value.operands[0].shape, value.shape
    return [size for size in before if size != 1] == [size for size in after if size != 1]


def viewed_index(value: Value, index: Sequence[Index]) -> list[Index]:
    """Return the index into the operand of a view, for an index into the view."""
    (operand,) = value.operands
    if value.operator == "permute":
        return [index[value.numbers.index(dim)] for dim in range(len(index))]
    if value.operator == "broadcast":
        return broadcast_index(operand.shape, index)
    if value.operator == "slice":
        dim, start, step = map(int, value.numbers)
        constant, *factors = index[dim]
        return [*index[:dim], (constant * step + start, *(one * step for one in factors)), *index[dim + 1 :]]
    rest = iter([one for size, one in zip(value.shape, index, strict=True) if size != 1])
    return [FIRST if size == 1 else next(rest) for size in operand.shape]
