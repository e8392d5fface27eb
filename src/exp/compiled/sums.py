"""Loops that add up terms, or find the largest: along memory, in variables, or row by row."""

from collections.abc import Callable, Collection, Sequence
from functools import reduce
from typing import TypeAlias

from exp.compiled.arrays import Buffer, Index, factor, identity
from exp.compiled.elements import C_TYPES, Elements
from exp.compiled.loops import Loops, merge_loops
from exp.compiled.values import FLOAT

# Gives the place of a sum and one of its terms, for an index of each dimension.
Term: TypeAlias = Callable[[Elements, Sequence[Index]], tuple[str, str]]

# At most so many terms are one expression: of a sum, and of all sums of a row.
_MAX_TERMS, _MAX_TERMS_OF_ROW = 8, 24

# At most so many sums are computed at a time, in variables: all of them, or those of a row.
_MAX_SUMS = 32

# Terms from which on sums are kept in double precision.
_MANY = 1024


def sum_terms(
    new: Callable[[], Elements],
    term: Term,
    shape: Sequence[int],
    reduced: Collection[int],
    kind: str,
    largest: bool = False,
) -> tuple[list[str], set[Buffer]]:
    """Return statements that set each sum, and what they read.

    Args:
        new: Makes an empty collector of statements: some are filled on trial, to see which places in memory they read.
        shape: The dimensions of the terms.
        reduced: Those over which they are added up.
        kind: The type of the sums.
        largest: Whether the largest terms are wanted, not sums.
    """

    def combine(a: str, b: str) -> str:
        return f"{kind}_maximum({a}, {b})" if largest else f"{a} + {b}"

    trial = new()
    term(trial, identity(len(shape)))
    loops, elements = merge_loops(shape, trial.places, reduced), new()
    terms, outer, row = loops.size(loops.reduced), loops.kept[:-1], loops.kept[-1:]
    is_row_short = bool(outer) and terms * loops.size(row) <= _MAX_TERMS_OF_ROW
    if terms <= _MAX_TERMS or is_row_short:
        results: list[str] = []
        for start in loops.unroll(loops.start, row if is_row_short else []):
            pairs = [term(elements, at) for at in loops.unroll(start, loops.reduced)]
            results.append(f"{pairs[0][0]} = {reduce(combine, (one for _, one in pairs))};")
        return loops.nest(outer if is_row_short else loops.kept, [*elements.lines, *results]), elements.reads
    first = "0" if not largest else "-INFINITY" if kind == FLOAT else "INT64_MIN"
    variables = _choose_variables(loops, term, new())
    if variables is None:
        place, one = term(elements, loops.start)
        adding = loops.nest([*loops.reduced, *row], [*elements.lines, f"{place} = {combine(place, one)};"])
        return loops.nest(outer, [*loops.nest(row, [f"{place} = {first};"]), *adding]), elements.reads
    pairs = [term(elements, start) for start in loops.unroll(loops.start, variables)]
    totals = {f"total{number}": pair for number, pair in enumerate(pairs)}
    declared = "double" if terms >= _MANY and not largest and kind == FLOAT else C_TYPES[kind]
    adding = [*elements.lines, *(f"{total} = {combine(total, one)};" for total, (_, one) in totals.items())]
    body = [
        f"{declared} {', '.join(f'{total} = {first}' for total in totals)};",
        *loops.nest(loops.reduced, adding, "" if largest else ", ".join(totals)),
        *(f"{place} = {total};" for total, (place, _) in totals.items()),
    ]
    return loops.nest([loop for loop in loops.kept if loop not in variables], body), elements.reads


def _choose_variables(loops: Loops, term: Term, elements: Elements) -> list[int] | None:
    """Return the loops whose sums are computed at a time in variables; None: all sums of a row are, in memory."""
    term(elements, loops.start)
    if all(abs(factor(place, loops.reduced[-1])) <= 1 for place in elements.places):
        return []  # neighbours are added up
    return next((some for some in (loops.kept, loops.kept[-1:]) if loops.size(some) <= _MAX_SUMS), None)
