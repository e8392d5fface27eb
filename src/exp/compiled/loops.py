"""Trees of loops: kernels that read and write elements of buffers."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from exp.compiled.scalars import Array, Buffer, Index, Load, Local, Scalar, coefficient, loads, rewrite


@dataclass(frozen=True)
class Assign:
    """Set a variable or an element to a value, or combine it with one by an operator."""

    target: Load | Local
    value: Scalar
    operator: str | None = None
    declares: bool = False


@dataclass(frozen=True)
class Loop:
    """Repeat the body for each value of a loop variable.

    Attributes:
        sums: Variables that the body adds to, if the iterations are otherwise independent and may run together.
    """

    dim: int
    count: int
    body: tuple["Assign | Loop", ...]
    sums: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Gemm:
    """target = a @ b for each of several matrices.

    Attributes:
        shape: The number of products, then M, N, K.
        a, b, target: The first matrices, and how far apart the next ones are.
        by_blas: Whether the BLAS multiplies them, which takes matrices whose rows or columns are contiguous.
    """

    shape: tuple[int, int, int, int]
    a: Array
    b: Array
    target: Array
    steps: tuple[int, int, int]
    by_blas: bool


@dataclass(frozen=True)
class Kernel:
    """One statement of the step; the title says what it computes."""

    title: str
    body: tuple[Assign | Loop | Gemm, ...]
    reads: frozenset[Buffer] = field(default_factory=frozenset[Buffer])
    writes: frozenset[Buffer] = field(default_factory=frozenset[Buffer])


@dataclass(frozen=True)
class MergedLoops:
    """Loops after `merge_loops`: their counts, the scalars over them, and which of them stayed apart."""

    counts: list[int]
    scalars: list[Scalar]
    apart: list[int]


def kernel(title: str, *body: Assign | Loop | Gemm) -> Kernel:
    """Return a kernel that knows which buffers it reads and writes."""
    reads: set[Buffer] = set()
    writes: set[Buffer] = set()
    for statement in _statements(body):
        if isinstance(statement, Gemm):
            reads |= {statement.a.buffer, statement.b.buffer}
            writes.add(statement.target.buffer)
            continue
        reads |= {load.buffer for load in loads(statement.value)}
        if isinstance(statement.target, Load):
            writes.add(statement.target.buffer)
            reads |= {load.buffer for load in loads(statement.target)} - {statement.target.buffer}
    return Kernel(title, body, frozenset(reads), frozenset(writes))


def _statements(body: Iterable[Assign | Loop | Gemm]) -> Iterable[Assign | Gemm]:
    for statement in body:
        if isinstance(statement, Loop):
            yield from _statements(statement.body)
        else:
            yield statement


def merge_loops(counts: Sequence[int], scalars: Sequence[Scalar], apart: Collection[int] = ()) -> MergedLoops:
    """Replace neighbouring loops by one where every index allows it; loops that run once vanish.

    Args:
        apart: Loops that are not merged with the others.
    """
    indices: set[Index] = set()
    for scalar in scalars:
        rewrite(scalar, lambda index: indices.add(index) or index)
    groups: list[list[int]] = []
    for dim in (dim for dim, count in enumerate(counts) if count != 1):
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and (last in apart) == (dim in apart)
            and all(coefficient(index, last) == coefficient(index, dim) * counts[dim] for index in indices)
        ):
            groups[-1].append(dim)
        else:
            groups.append([dim])

    def change(index: Index) -> Index:
        return tuple(coefficient(index, group[-1]) for group in groups), index[1]

    return MergedLoops(
        [math.prod(counts[dim] for dim in group) for group in groups],
        [rewrite(scalar, change) for scalar in scalars],
        [number for number, group in enumerate(groups) if group[0] in apart],
    )


def order_loops(count: int, scalars: Sequence[Scalar]) -> list[int]:
    """Return loops in the order of their steps through memory, the longest first."""
    indices: set[Index] = set()
    for scalar in scalars:
        rewrite(scalar, lambda index: indices.add(index) or index)
    return sorted(range(count), key=lambda dim: -sum(abs(coefficient(index, dim)) for index in indices))


def nest(counts: Sequence[int], dims: Sequence[int], body: Sequence[Assign | Loop]) -> tuple[Assign | Loop, ...]:
    """Return loops over `dims`, the last one innermost."""
    result = tuple(body)
    for dim in reversed(dims):
        is_innermost = not any(isinstance(one, Loop) for one in result)
        sums = {one.target.name for one in result if isinstance(one, Assign) and isinstance(one.target, Local)}
        result = (Loop(dim, counts[dim], result, tuple(sorted(sums)) if is_innermost else None),)
    return result
