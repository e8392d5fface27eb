"""Pass 2: turn values into kernels in C. Values that several kernels need are stored, the others are part of one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch

from exp.compiled.arrays import FIRST, Array, Buffer, Index, identity, is_squeeze, viewed_index
from exp.compiled.c_library import sgemm_address
from exp.compiled.elements import Elements
from exp.compiled.loops import Loops, merge_loops
from exp.compiled.storage import choose_stored, sort_values
from exp.compiled.sums import sum_terms
from exp.compiled.values import FLOAT, VIEWS, Value

# Iterations of an innermost loop up to which it is unrolled.
_MAX_UNROLLED = 4

# Multiplications from which on tiles are faster than loops, and the BLAS than tiles: with one thread, and with several.
_MIN_TILED, _MIN_BLAS, _MIN_BLAS_OF_THREADS = 2**10, 2**27, 2**20
_MIN_COLUMNS = 4


@dataclass(frozen=True)
class Kernel:
    """One function of C; the title says what it computes."""

    title: str
    lines: list[str]
    reads: Collection[Buffer]
    writes: Collection[Buffer]


class Kernels:
    """The kernels of a step, in order. Values are stored in buffers as they are needed.

    Args:
        inputs: The buffers of the library's tensors, by the number of the input.
    """

    def __init__(self, inputs: Mapping[int, Buffer]) -> None:
        self.kernels: list[Kernel] = []
        self._inputs = inputs
        self._arrays: dict[Value, Array] = {}
        self._stored: set[Value] = set()
        self._count = 0

    def plan(self, results: Sequence[Value]) -> None:
        """Choose what to store: what several kernels need for `results`, which are all that will be added."""
        self._stored = choose_stored(sort_values(results), results)

    def add(self, results: Sequence[Value]) -> None:
        """Store what was planned for `results`, in order."""
        for value in sort_values(results):
            if value in self._stored:
                self.array(value)

    def array(self, value: Value) -> Array:
        """Return where the value is, storing it if it is not stored."""
        if value not in self._arrays:
            if value.operator == "input":
                self._arrays[value] = Array.whole(self._inputs[int(value.numbers[0])], value.shape)
            else:
                self._arrays[value] = self._view(value) if value.operator in VIEWS else self._store(value)
        return self._arrays[value]

    def keep(self, value: Value, changed: Collection[Buffer]) -> None:
        """Store the value in a buffer that is not one of those that change."""
        if self.array(value).buffer in changed:
            self._arrays[value] = self._store(value)

    def reads(self, value: Value) -> set[Buffer]:
        """Return the buffers that the value is computed from."""
        elements = self._elements()
        elements.of(value, identity(len(value.shape)))
        return elements.reads

    def assign(self, title: str, pairs: Sequence[tuple[Array, Value]]) -> None:
        """Add a kernel that sets arrays of one shape to values, which may depend on what is in the arrays."""
        shape = pairs[0][0].shape

        def assign(elements: Elements, index: Sequence[Index]) -> list[str]:
            results = [elements.of(value, index) for _, value in pairs]
            places = [elements.place(array, index) for array, _ in pairs]
            return [f"{place} = {result};" for place, result in zip(places, results, strict=True)]

        trial = self._elements()
        assign(trial, identity(len(shape)))
        loops = merge_loops(shape, trial.places)
        is_short = len(loops.kept) > 1 and loops.counts[loops.kept[-1]] <= _MAX_UNROLLED
        elements, unrolled = self._elements(), loops.kept[-1:] if is_short else []
        after = [line for start in loops.unroll(loops.start, unrolled) for line in assign(elements, start)]
        lines = loops.nest(loops.kept[: len(loops.kept) - len(unrolled)], [*elements.lines, *after])
        self.kernels.append(
            Kernel(f"{title} {list(shape)}", lines, elements.reads, {array.buffer for array, _ in pairs})
        )

    def _elements(self) -> Elements:
        return Elements(
            lambda value: self.array(value) if value.operator == "input" else self._arrays.get(value), self.array
        )

    def _view(self, value: Value) -> Array:
        source = self.array(value.operands[0])
        if value.operator == "reshape" and not is_squeeze(value):
            if not source.is_contiguous:
                source = self._store(value.operands[0])
            return Array(source.buffer, value.shape, Array.whole(source.buffer, value.shape).strides, source.offset)
        offset, *strides = source.place(viewed_index(value, identity(len(value.shape))))
        return Array(source.buffer, value.shape, (*strides, *(0 for _ in value.shape))[: len(value.shape)], offset)

    def _store(self, value: Value) -> Array:
        self._count += 1
        array = Array.whole(Buffer(f"w{self._count}", max(1, value.size), value.type, is_work=True), value.shape)
        if value in self._arrays:  # a contiguous copy
            self.assign("copy", [(array, value)])
        elif value.operator in ("sum", "amax"):
            self._reduce(value, array)
        elif value.operator == "product":
            a, b = map(self.array, value.operands)
            array = self._multiply(a, b, array)
        elif value.operator == "cat":
            dim, start = int(value.numbers[0]), 0
            for part in (part for part in value.operands if part.size):
                place = Array(array.buffer, part.shape, array.strides, start * array.strides[dim])
                self.assign("cat", [(place, part)])
                start += part.shape[dim]
        elif value.operator == "scatter_add":
            self._scatter(value, array)
        else:
            self.assign(value.operator, [(array, value)])
        return array

    def _reduce(self, value: Value, target: Array) -> None:
        (operand,), reduced = value.operands, [int(dim) for dim in value.numbers]

        def term(elements: Elements, index: Sequence[Index]) -> tuple[str, str]:
            result = elements.of(operand, index)
            kept = [FIRST if dim in reduced else one for dim, one in enumerate(index)]
            return elements.place(target, kept), result

        title = f"{value.operator} {list(operand.shape)} to {list(value.shape)}"
        lines, reads = sum_terms(self._elements, term, operand.shape, reduced, value.type, value.operator == "amax")
        self.kernels.append(Kernel(title, lines, reads, {target.buffer}))

    def _multiply(self, a: Array, b: Array, target: Array) -> Array:
        """Multiply small matrices by loops, larger ones in tiles, and large ones by the BLAS.

        Returns:
            The product: `target`, or its buffer as the transposed of a transposed product. That has many columns where
            the product has few, and is chosen where the terms of neighbouring rows are neighbours in memory.
        """
        (*batch, m, n), k = target.shape, a.shape[-1]
        title, work = f"product {list(a.shape)} by {list(b.shape)}", m * n * k
        if work >= _MIN_TILED and 1 < n < _MIN_COLUMNS <= m and a.strides[-2] == 1:
            turned = Array.whole(target.buffer, (*batch, n, m))
            return _transposed(self._multiply(_transposed(b), _transposed(a), turned))

        def term(elements: Elements, index: Sequence[Index]) -> tuple[str, str]:
            *first, i, j, p = index
            factors = elements.load(a, [*first, i, p]), elements.load(b, [*first, p, j])
            return elements.place(target, [*first, i, j]), " * ".join(factors)

        if work < _MIN_TILED or min(m, k) == 1 or n < _MIN_COLUMNS:
            lines, reads = sum_terms(self._elements, term, [*batch, m, n, k], [len(batch) + 2], FLOAT)
            self.kernels.append(Kernel(title, lines, reads, {target.buffer}))
            return target
        is_large = work >= (_MIN_BLAS if torch.get_num_threads() == 1 else _MIN_BLAS_OF_THREADS)
        by_blas = is_large and sgemm_address() and _has_unit_stride(a) and _has_unit_stride(b)
        loops = merge_loops(batch, identity(len(batch)))
        elements = self._elements()
        corners = [
            f"&{elements.place(array, [*loops.start, FIRST, FIRST])}{''.join(f', {one}' for one in strides)}"
            for array, strides in ((a, a.strides[-2:]), (b, b.strides[-2:]), (target, ()))
        ]
        function = "multiply_by_blas(sgemm, " if by_blas else "multiply("
        call = f"{function}{m}, {n}, {k}, {', '.join(corners)});"
        self.kernels.append(Kernel(title, loops.nest(loops.kept, [call]), {a.buffer, b.buffer}, {target.buffer}))
        return target

    def _scatter(self, value: Value, target: Array) -> None:
        (rows, chosen), (count, width) = value.operands, value.shape
        elements, (row, column) = self._elements(), identity(2)
        at, added = elements.of(chosen, [row]), elements.of(rows, [row, column])
        place = f"{target.buffer.name}[nearest_index({at}, {count}) * {width} + i1]"
        lines = [*elements.lines, f"{place} += is_index({at}, {count}) ? {added} : 0;"]
        loops = Loops([rows.shape[0], width], [row, column], [], [0, 1])
        zeros = f"memset({target.buffer.name}, 0, {4 * count * width});"
        title = f"scatter_add {list(rows.shape)} to {list(value.shape)}"
        self.kernels.append(Kernel(title, [zeros, *loops.nest([0, 1], lines)], elements.reads, {target.buffer}))


def _transposed(array: Array) -> Array:
    *batch, m, n = range(len(array.shape))
    order = (*batch, n, m)
    shape, strides = (tuple(one[dim] for dim in order) for one in (array.shape, array.strides))
    return Array(array.buffer, shape, strides, array.offset)


def _has_unit_stride(array: Array) -> bool:
    """Return whether the BLAS takes the matrices: one stride is 1, and the other is at least the size of a row."""
    (rows, columns), (row, column) = array.shape[-2:], array.strides[-2:]
    return (column == 1 and row >= columns) or (row == 1 and column >= rows)
