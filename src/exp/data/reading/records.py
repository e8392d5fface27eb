"""The records of a text file, and the separator between their cells."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exp.errors import ConfigError

BLANKS = r"\s+"  # the separator of files whose cells are separated by runs of blanks

# The separators to try, in the order in which they are preferred.
SEPARATORS = (",", ";", "\t", "|", BLANKS)
_WORDS = {"tab": "\t", "\\t": "\t", "blanks": BLANKS, "blank": BLANKS, " ": BLANKS}
_MAX_RECORDS = 500

# Of 5,1;3,5 only the semicolon makes numbers.
DECIMAL = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Record:
    """The cells of a row, and the numbers of its first and last line in the file."""

    cells: list[str]
    first: int
    last: int


def check_separator(separator: str | None) -> str | None:
    """Return the declared separator as one character or BLANKS. ConfigError if it is something else."""
    separator = _WORDS.get(separator, separator) if separator else None
    if separator is None or separator == BLANKS or (len(separator) == 1 and separator not in '"\n\r'):
        return separator
    raise ConfigError(
        f"dataset.separator={separator}: the separator must be one character, tab or blanks", "dataset.separator=null"
    )


def read_records(lines: Iterable[str], separator: str) -> Iterator[Record]:
    """Yield the records of the lines that are not blank; a quoted cell may hold line ends."""
    if separator == BLANKS:
        lines = (" ".join(line.split()) + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=" " if separator == BLANKS else separator, skipinitialspace=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a cell beyond csv's limit: pandas says what is wrong, if anything
            return
        if len(cells) > 1 or any(cell.strip() for cell in cells):
            yield Record(cells, first, reader.line_num)


def read_first_records(lines: list[str], separator: str, above: int) -> list[Record]:
    """Return the first records of the lines, numbered as those below `above` lines."""
    records = _take(read_records(lines, separator), _MAX_RECORDS)
    return [replace(record, first=record.first + above, last=record.last + above) for record in records]


def find_separator(lines: list[str], suffix: str) -> str:
    """Return the separator for which most lines have the same number of cells, which is at least 2.

    Of several, it is the one that makes the most cells, and then the most numbers.
    """
    best, best_score = "\t" if suffix == ".tsv" else ",", (0.5, 0.0, 0)
    for separator in (best, *SEPARATORS):
        records = [record.cells for record in _take(read_records(lines, separator), _MAX_RECORDS)]
        widths = [*map(len, records)]
        (width, count), *_ = Counter(widths).most_common(1) or [(1, 0)]
        if width < 2:
            continue
        if widths[0] == width - 1:  # names without one for the row names; or, if it is one name, a mark in the rows
            count = count + 0.9 if width > 2 else 0.8 * count
        share = round(count / len(widths), 6)
        numbers = sum(DECIMAL.fullmatch(cell.strip()) is not None for cells in records for cell in cells)
        score = (share, 0.0 if separator == BLANKS else float(width), numbers)
        if score > best_score:
            best, best_score = separator, score
    return best


def _take(records: Iterator[Record], most: int) -> Iterator[Record]:
    for _, record in zip(range(most), records, strict=False):
        yield record
