"""Cells as the lines of a table."""

from collections.abc import Collection, Iterator, Sequence


def table_lines(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> list[str]:
    """Return rows of cells in aligned columns. The columns `left` are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_align(row, widths, left)).rstrip() for row in rows]


def _align(row: Sequence[str], widths: Sequence[int], left: Collection[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if place in left else cell.rjust(width)
