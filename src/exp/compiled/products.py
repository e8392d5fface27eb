"""Kernels of matrix products: small ones as loops, larger ones in tiles, and large ones by the BLAS."""

import math
from collections.abc import Iterable, Sequence
from functools import reduce

import torch

from exp.compiled.loops import Assign, Gemm, Kernel, Loop, kernel, nest
from exp.compiled.scalars import DOUBLE, Apply, Array, Literal, Load, Local, Scalar
from exp.compiled.values import FLOAT

# Multiplications from which on tiles are faster than loops, and the BLAS than tiles: with one thread, and with several.
_MIN_TILED = 2**10
_MIN_BLAS = 2**27
_MIN_BLAS_OF_THREADS = 2**20

# Columns from which on tiles are faster than loops.
_MIN_COLUMNS = 4

_MAX_UNROLLED = 24
_MAX_VARIABLES = 32
_MAX_COLUMNS = 16

# Terms from which on sums are kept in double precision.
MANY = 1024

_ZERO = Literal(0.0, FLOAT)
_BATCH, _I, _J, _K = range(4)  # loops


def product_kernel(a: Array, b: Array, target: Array) -> Kernel:
    """Return the kernel of target [..., M, N] = a [..., M, K] @ b [..., K, N]."""
    (m, n), k = target.shape[-2:], a.shape[-1]
    batch = math.prod(target.shape[:-2])
    work = m * n * k
    title = f"product {list(a.shape)} by {list(b.shape)}"
    if work >= _MIN_TILED and min(m, k) > 1 and n >= _MIN_COLUMNS:
        is_large = work >= (_MIN_BLAS if torch.get_num_threads() == 1 else _MIN_BLAS_OF_THREADS)
        by_blas = is_large and _has_unit_stride(a) and _has_unit_stride(b)
        steps = tuple(_batch_stride(array) for array in (a, b, target))
        return kernel(title, Gemm((batch, m, n, k), a, b, target, (steps[0], steps[1], steps[2]), by_blas))
    body = _Loops(a, b, target, (batch, m, n, k)).body()
    return kernel(title, *(nest([batch], [_BATCH], body) if batch > 1 else body))


def _has_unit_stride(array: Array) -> bool:
    """Return whether the BLAS takes the matrices: one stride is 1, and the other is at least the size of a row."""
    (rows, columns), (row, column) = array.shape[-2:], array.strides[-2:]
    return (column == 1 and row >= columns) or (row == 1 and column >= rows)


def _batch_stride(array: Array) -> int:
    return array.strides[-3] if len(array.shape) > 2 else 0


class _Loops:
    def __init__(self, a: Array, b: Array, target: Array, shape: Sequence[int]) -> None:
        self._arrays = {"a": (a, _I, _K), "b": (b, _K, _J), "target": (target, _I, _J)}
        self._counts = shape
        self._a_rows = a.strides[-1] == 1  # whether neighbours along K are neighbours in memory
        self._b_columns = b.strides[-2] == 1
        self._b_rows = b.strides[-1] == 1

    def body(self) -> tuple[Assign | Loop, ...]:
        _, m, n, k = self._counts
        if n * k <= _MAX_UNROLLED and m > 1:
            sums = [Assign(self._target(j=j), _total(self._term(j=j, k=at) for at in range(k))) for j in range(n)]
            return nest(self._counts, [_I], sums)
        if m * n <= _MAX_VARIABLES and k > 4 and not (self._a_rows and self._b_columns):
            return tuple(self._in_variables([(i, j) for i in range(m) for j in range(n)], [_K]))
        if self._b_rows and n <= _MAX_COLUMNS:
            return nest(self._counts, [_I], self._in_variables([(None, j) for j in range(n)], [_K]))
        if self._b_rows:
            adding = Assign(self._target(), self._term(), "add")
            rows = [*nest(self._counts, [_J], [Assign(self._target(), _ZERO)]), *nest(self._counts, [_K, _J], [adding])]
            return nest(self._counts, [_I], rows)
        return nest(self._counts, [_I, _J], self._in_variables([(None, None)], [_K]))

    def _in_variables(self, places: Sequence[tuple[int | None, int | None]], dims: list[int]) -> list[Assign | Loop]:
        """Compute the sums at several places of the target in variables."""
        kind = DOUBLE if self._counts[_K] >= MANY else FLOAT
        totals = [Local(f"total{number}", kind) for number in range(len(places))]
        adding = [Assign(total, self._term(i, j), "add") for total, (i, j) in zip(totals, places, strict=True)]
        return [
            *(Assign(total, _ZERO, declares=True) for total in totals),
            *nest(self._counts, dims, adding),
            *(Assign(self._target(i, j), total) for total, (i, j) in zip(totals, places, strict=True)),
        ]

    def _term(self, i: int | None = None, j: int | None = None, k: int | None = None) -> Scalar:
        return Apply("mul", (self._load("a", i, k), self._load("b", k, j)))

    def _target(self, i: int | None = None, j: int | None = None) -> Load:
        return self._load("target", i, j)

    def _load(self, name: str, row: int | None, column: int | None) -> Load:
        """Return the element at a place, or at that of a loop if the row or the column is None."""
        array, row_loop, column_loop = self._arrays[name]
        coefficients, constant = [_batch_stride(array), 0, 0, 0], array.offset
        for stride, place, loop in zip(array.strides[-2:], (row, column), (row_loop, column_loop), strict=True):
            if place is None:
                coefficients[loop] += stride
            else:
                constant += stride * place
        return Load(array.buffer, (tuple(coefficients), constant))


def _total(terms: Iterable[Scalar]) -> Scalar:
    return reduce(lambda total, term: Apply("add", (total, term)), terms)
