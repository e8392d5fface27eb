"""Write and read a CSV file."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write(path: Path, columns: Iterable[str], lines: Iterable[Sequence[object]]) -> None:
    """Write the names of the columns and the lines to `path`, UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(lines)


def read(path: Path) -> list[dict[str, str]]:
    """Return the lines of `path` by the names of its columns. OSError, ValueError or csv.Error if it cannot be read."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def lines_of(columns: "Iterable[NDArray[Any]]") -> Iterator[tuple[object, ...]]:
    """Return the lines of columns [N]: numbers with the digits that their type needs, so 0.1 of a float32 as 0.1."""
    return zip(*map(_cells, columns), strict=True)


def _cells(column: "NDArray[Any]") -> list[object]:
    return (column.astype(str) if column.dtype.name == "float32" else column).tolist()
