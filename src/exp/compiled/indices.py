"""Indices of views: from the loops over a value to the elements of what it shows."""

from collections.abc import Sequence

from exp.compiled.scalars import Array, Buffer, Index, Load, coefficient, contiguous_strides
from exp.compiled.values import Shape, Value

_FIRST: Index = ((), 0)


def identity(count: int) -> list[Index]:
    """Return the index of each dimension where each has its own loop."""
    return [((*(0 for _ in range(dim)), 1), 0) for dim in range(count)]


def whole(buffer: Buffer, shape: Shape) -> Array:
    return Array(buffer, shape, contiguous_strides(shape))


def element(array: Array, index: Sequence[Index]) -> Load:
    """Return the element of the array at an index for each dimension."""
    loops = max((len(one[0]) for one in index), default=0)
    pairs = list(zip(array.strides, index, strict=True))
    coefficients = tuple(sum(stride * coefficient(one, dim) for stride, one in pairs) for dim in range(loops))
    return Load(array.buffer, (coefficients, array.offset + sum(stride * one[1] for stride, one in pairs)))


def broadcast_index(shape: Shape, index: Sequence[Index]) -> list[Index]:
    """Return the index into an array of `shape` that broadcasts to the dimensions of `index`."""
    own = index[len(index) - len(shape) :]
    return [_FIRST if size == 1 else one for size, one in zip(shape, own, strict=True)]


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
        factors, constant = index[dim]
        cut = (tuple(factor * step for factor in factors), constant * step + start)
        return [*index[:dim], cut, *index[dim + 1 :]]
    rest = iter([one for size, one in zip(value.shape, index, strict=True) if size != 1])
    return [_FIRST if size == 1 else next(rest) for size in operand.shape]
