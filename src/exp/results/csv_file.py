"""Write a CSV file."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path


def write(path: Path, columns: Iterable[str], lines: Iterable[Sequence[object]]) -> None:
    """Write the names of the columns and the lines to `path`, UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(lines)
