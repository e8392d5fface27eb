"""C loops: which loops a kernel has, and the text of nested ones."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from exp.compiled.arrays import FIRST, Index, factor, fix, identity


@dataclass(frozen=True)
class Loops:
    """Loops over the positions of a shape.

    Attributes:
        counts: How often each runs.
        start: The index of each dimension of the shape.
        reduced: The loops over dimensions that are reduced, the longest step through memory first.
        kept: The others.
    """

    counts: list[int]
    start: list[Index]
    reduced: list[int]
    kept: list[int]

    def size(self, loops: Iterable[int]) -> int:
        return math.prod(self.counts[loop] for loop in loops)

    def unroll(self, start: list[Index], loops: Sequence[int]) -> Iterator[list[Index]]:
        """Yield the indices for all values of some loop variables."""
        if not loops:
            yield start
            return
        for at in range(self.counts[loops[0]]):
            yield from self.unroll(fix(start, loops[0], at), loops[1:])

    def nest(self, loops: Sequence[int], lines: Sequence[str], sums: str = "") -> list[str]:
        """Return loops around lines, the last one innermost; it may add up the variables `sums` in any order."""
        result = list(lines)
        for loop in reversed(loops):
            head = f"for (int i{loop} = 0; i{loop} < {self.counts[loop]}; i{loop}++) {{"
            result = [head, *(f"    {line}" for line in result), "}"]
            if sums:
                result.insert(0, f"#pragma omp simd reduction(+:{sums})")
            sums = ""
        return result


def merge_loops(shape: Sequence[int], places: Collection[Index], reduced: Collection[int] = ()) -> Loops:
    """Return loops over a shape: one for neighbouring dimensions where all places allow it, none for those of size 1.

    Args:
        places: The places in buffers, and positions, for a loop over each dimension.
        reduced: Dimensions that are not merged with the others.
    """
    groups: list[list[int]] = []
    for dim in (dim for dim, size in enumerate(shape) if size != 1):
        last = groups[-1][-1] if groups else dim
        if (
            groups
            and (last in reduced) == (dim in reduced)
            and all(factor(place, last) == factor(place, dim) * shape[dim] for place in places)
        ):
            groups[-1].append(dim)
        else:
            groups.append([dim])
    start: list[Index] = [FIRST for _ in shape]
    for loop, index in enumerate(identity(len(groups))):
        start[groups[loop][-1]] = index  # places have the same factors as before; the other dimensions stay at 0
    steps = [sum(abs(factor(place, group[-1])) for place in places) for group in groups]
    by_step = sorted(range(len(groups)), key=lambda loop: -steps[loop])
    return Loops(
        [math.prod(shape[dim] for dim in group) for group in groups],
        start,
        [loop for loop in by_step if groups[loop][0] in reduced],
        [loop for loop in by_step if groups[loop][0] not in reduced],
    )
