"""Pass 2: turn values into kernels. Values that several kernels need are stored, the others become part of one."""

import math
from collections.abc import Collection, Mapping, Sequence

from exp.compiled.indices import broadcast_index, element, identity, is_squeeze, viewed_index, whole
from exp.compiled.loops import Assign, Kernel, kernel, merge_loops, nest, order_loops
from exp.compiled.products import MANY, product_kernel
from exp.compiled.scalars import (
    DOUBLE,
    Apply,
    Array,
    Buffer,
    Index,
    Literal,
    Load,
    Local,
    Position,
    Scalar,
    Slot,
    at,
    contiguous_strides,
)
from exp.compiled.storage import choose_stored, sort_values
from exp.compiled.values import BOOL, ELEMENTWISE, FLOAT, LONG, VIEWS, Value

# Sums of at most so many elements are one expression, and innermost loops of at most so many are unrolled.
_MAX_TERMS = 8
_MAX_UNROLLED = 4

# At most so many sums are computed at a time, in variables of a kernel.
_MAX_VARIABLES = 16


class Kernels:
    """The kernels of a step, in order. Values are stored in buffers as they are needed.

    Args:
        inputs: The buffers of the library's tensors, by the number of the input.
    """

    def __init__(self, inputs: Mapping[int, Buffer]) -> None:
        self.kernels: list[Kernel] = []
        self._inputs = inputs
        self._arrays: dict[Value, Array] = {}
        self._count = 0

    def add(self, results: Sequence[Value]) -> None:
        """Store what several kernels need for `results`, in order."""
        order = sort_values(results)
        stored = choose_stored(order, results)
        for value in order:
            if value in stored:
                self.array(value)

    def array(self, value: Value, copies: Collection[Buffer] = ()) -> Array:
        """Return where the value is, storing it if it is not stored, or is a view of one of the buffers `copies`."""
        if value not in self._arrays:
            if value.operator == "input":
                self._arrays[value] = whole(self._inputs[int(value.numbers[0])], value.shape)
            else:
                self._arrays[value] = self._view(value) if value.operator in VIEWS else self._store(value)
        return self._store(value) if self._arrays[value].buffer in copies else self._arrays[value]

    def copy(self, value: Value, target: Buffer, title: str | None = None) -> None:
        """Add a kernel that sets a contiguous buffer to the value."""
        load = element(whole(target, value.shape), identity(len(value.shape)))
        self.assign(title or value.operator, value.shape, [(load, self.scalar(value))])

    def assign(self, title: str, shape: Sequence[int], pairs: Sequence[tuple[Load, Scalar]]) -> None:
        """Add a kernel that sets elements, for each position of `shape`."""
        loops = merge_loops(shape, [scalar for pair in pairs for scalar in pair])
        dims, body = order_loops(len(loops.counts), loops.scalars), _assignments(loops.scalars)
        if len(dims) > 1 and loops.counts[dims[-1]] <= _MAX_UNROLLED:
            last = dims.pop()
            positions = range(loops.counts[last])
            body = [one for at_ in positions for one in _assignments([at(s, last, at_) for s in loops.scalars])]
        self.kernels.append(kernel(f"{title} {list(shape)}", *nest(loops.counts, dims, body)))

    def scalar(self, value: Value, index: Sequence[Index] | None = None) -> Scalar:
        """Return how an element is computed from stored values; without `index` for a loop over each dimension."""
        index = identity(len(value.shape)) if index is None else index
        if value in self._arrays:
            return element(self._arrays[value], index)
        if value.operator in ELEMENTWISE:
            operands = tuple(self.scalar(one, broadcast_index(one.shape, index)) for one in value.operands)
            return Apply(value.operator, operands, value.type)
        if value.operator in ("float_slot", "number_slot"):
            return Slot(f"{value.operator.removesuffix('_slot')}s", int(value.numbers[0]))
        if value.operator == "number":
            return Literal(value.numbers[0], value.type)
        if value.operator == "position":
            return Position(index[int(value.numbers[0])])
        if value.operator == "gather":
            return self._gathered(value, index)
        if value.operator in VIEWS and (value.operator != "reshape" or is_squeeze(value)):
            return self.scalar(value.operands[0], viewed_index(value, index))
        return element(self.array(value), index)

    def _gathered(self, value: Value, index: Sequence[Index]) -> Scalar:
        """An index out of range gives NaN, or 0 for integers."""
        table, chosen = value.operands
        array, dim = self.array(table), int(value.numbers[0])
        position, size = self.scalar(chosen, broadcast_index(chosen.shape, index)), Literal(table.shape[dim], LONG)
        others: list[Index] = [((), 0) if at_ == dim else one for at_, one in enumerate(index)]
        rest = element(array, broadcast_index(table.shape, others))
        load = Load(rest.buffer, rest.index, Apply("nearest_index", (position, size), LONG), array.strides[dim])
        outside = Literal(math.nan if value.type == FLOAT else 0, value.type)
        return Apply("where", (Apply("is_index", (position, size), BOOL), load, outside), value.type)

    def _view(self, value: Value) -> Array:
        source = self.array(value.operands[0])
        if value.operator == "reshape" and not is_squeeze(value):
            if not source.is_contiguous:
                source = self._store(value.operands[0])
            return Array(source.buffer, value.shape, contiguous_strides(value.shape), source.offset)
        load = element(source, viewed_index(value, identity(len(value.shape))))
        strides = (*load.index[0], *(0 for _ in value.shape))[: len(value.shape)]
        return Array(source.buffer, value.shape, strides, load.index[1])

    def _store(self, value: Value) -> Array:
        self._count += 1
        target = Buffer(f"w{self._count}", max(1, value.size), value.type, is_work=True)
        array = whole(target, value.shape)
        if value in self._arrays:  # a contiguous copy
            self.copy(value, target)
        elif value.operator in ("sum", "amax"):
            self._reduce(value, array)
        elif value.operator == "product":
            a, b = map(self.array, value.operands)
            self.kernels.append(product_kernel(a, b, array))
        elif value.operator == "cat":
            self._concatenate(value, array)
        elif value.operator == "scatter_add":
            self._scatter(value, array)
        else:
            self.copy(value, target)
        return array

    def _reduce(self, value: Value, target: Array) -> None:
        (operand,) = value.operands
        shape, reduced = operand.shape, [int(dim) for dim in value.numbers]
        index = identity(len(shape))
        kept_index: list[Index] = [((), 0) if dim in reduced else one for dim, one in enumerate(index)]
        scalars = [element(target, kept_index), self.scalar(operand)]
        loops = merge_loops(shape, scalars, reduced)
        (result, scalar), counts = loops.scalars, loops.counts
        assert isinstance(result, Load)
        combine, start = ("add", 0) if value.operator == "sum" else ("maximum", -math.inf)
        kept = [dim for dim in range(len(counts)) if dim not in loops.apart]
        start = Literal(start, value.type)
        terms = math.prod(counts[dim] for dim in loops.apart)
        exact = DOUBLE if terms >= MANY and combine == "add" and value.type == FLOAT else value.type
        if not terms:
            body = nest(counts, kept, [Assign(result, start)])
        elif terms <= _MAX_TERMS:
            total, *rest = _unrolled(scalar, counts, loops.apart)
            for one in rest:
                total = Apply(combine, (total, one), value.type)
            total = total if total.type == value.type else Apply(value.type, (total,), value.type)
            body = nest(counts, kept, [Assign(result, total)])
        elif not kept or loops.apart[-1] > kept[-1]:  # neighbours are added up
            total = Local("total", exact)
            inner = nest(counts, loops.apart, [Assign(total, scalar, combine)])
            body = nest(counts, kept, [Assign(total, start, declares=True), *inner, Assign(result, total)])
        elif (sums := math.prod(counts[dim] for dim in kept)) <= _MAX_VARIABLES:
            totals = [Local(f"total{number}", exact) for number in range(sums)]
            terms_ = zip(totals, _unrolled(scalar, counts, kept), strict=True)
            results = zip(_unrolled(result, counts, kept), totals, strict=True)
            body = (
                *(Assign(total, start, declares=True) for total in totals),
                *nest(counts, loops.apart, [Assign(total, term, combine) for total, term in terms_]),
                *(Assign(one, total) for one, total in results if isinstance(one, Load)),
            )
        else:
            body = (
                *nest(counts, kept, [Assign(result, start)]),
                *nest(counts, [*loops.apart, *kept], [Assign(result, scalar, combine)]),
            )
        self.kernels.append(kernel(f"{value.operator} {list(shape)} to {list(value.shape)}", *body))

    def _concatenate(self, value: Value, target: Array) -> None:
        dim, start = int(value.numbers[0]), 0
        for part in value.operands:
            place = Array(target.buffer, part.shape, target.strides, target.offset + start * target.strides[dim])
            if part.size:
                self.assign("cat", part.shape, [(element(place, identity(len(part.shape))), self.scalar(part))])
            start += part.shape[dim]

    def _scatter(self, value: Value, target: Array) -> None:
        rows, chosen = value.operands
        count, width = value.shape
        row, column = identity(2)
        position, size = self.scalar(chosen, [row]), Literal(count, LONG)
        place = Load(target.buffer, ((0, 1), 0), Apply("nearest_index", (position, size), LONG), width)
        added = Apply("where", (Apply("is_index", (position, size), BOOL), self.scalar(rows), Literal(0.0, FLOAT)))
        counts = [rows.shape[0], width]
        zero = Assign(element(target, [row, column]), Literal(0.0, FLOAT))
        body = Assign(place, added, "add")
        title = f"scatter_add {list(rows.shape)} to {list(value.shape)}"
        self.kernels.append(kernel(title, *nest([count, width], [0, 1], [zero]), *nest(counts, [0, 1], [body])))


def _assignments(scalars: Sequence[Scalar]) -> list[Assign]:
    pairs = zip(scalars[::2], scalars[1::2], strict=True)
    return [Assign(target, scalar) for target, scalar in pairs if isinstance(target, Load)]


def _unrolled(scalar: Scalar, counts: Sequence[int], dims: Sequence[int]) -> list[Scalar]:
    """Return the scalar for each value of the loop variables `dims`."""
    result = [scalar]
    for dim in dims:
        result = [at(one, dim, position) for one in result for position in range(counts[dim])]
    return result
