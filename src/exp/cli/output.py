"""What the commands print."""

from collections.abc import Collection, Sequence


def print_notes(*notes: str) -> None:
    """Print each note on a line."""
    for note in notes:
        print(note)


def print_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> None:
    """Print rows of cells in aligned columns. The columns `left` are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
