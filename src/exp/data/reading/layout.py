"""Where the cells of a text file are: the separator, the line of column names, and what is above it."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from exp.data.reading.header import find_header, is_number, looks_like_rows, strip_name
from exp.data.reading.leading_zeros import find_leading_zeros
from exp.errors import ConfigError, DataError, pluralize

BLANKS = r"\s+"  # the separator of files whose cells are separated by runs of blanks

# The separators to try, in the order in which they are preferred.
SEPARATORS = (",", ";", "\t", "|", BLANKS)
_WORDS = {"tab": "\t", "\\t": "\t", "blanks": BLANKS, "blank": BLANKS, " ": BLANKS}
_MAX_RECORDS = 500


@dataclass(frozen=True)
class Record:
    """The cells of a row, and the numbers of its first and last line in the file."""

    cells: list[str]
    first: int
    last: int


@dataclass(frozen=True)
class Layout:
    """How the cells of a text file become columns.

    Attributes:
        names: The stripped names of all columns, also of those below that have no name in the file.
        header_end: The number of lines up to the last one of the names.
        has_row_names: Whether the first column holds row names, and has no name itself (as R writes tables).
        has_empty_end: Whether each line ends with a separator, so that the last column is empty and has no name.
        above: The lines above the names, without empty ones.
        zeros: A cell of each column whose first cells have a whole number with zeros in front, by the column's place.
    """

    separator: str
    names: list[str]
    header_end: int
    has_row_names: bool = False
    has_empty_end: bool = False
    above: tuple[str, ...] = ()
    zeros: Mapping[int, str] = field(default_factory=dict[int, str])


def find_layout(sample: str, where: str, separator: str | None, suffix: str) -> Layout:
    """Return the layout of the text that begins with `sample`, a number of whole lines.

    Args:
        where: The key and the path, for messages.
        separator: As declared; None to find it.
        suffix: The suffix of the file's name, which decides between separators that fit equally well.

    Raises:
        DataError: There are no lines, or the first ones do not fit the names.
        ConfigError: The declared separator is not supported.
    """
    lines = list(io.StringIO(sample, newline=""))
    start, declared = _skip_comments(lines)
    given = check_separator(separator)
    known = given or declared
    if commented := _find_commented_names(lines, start, known, suffix):
        (separator, records), header = commented, 0
    else:
        separator = known or _find_separator(lines[start:], suffix)
        records = _read_first_records(lines[start:], separator, start)
        header = find_header([record.cells for record in records]) if records else 0
    if not records:
        raise DataError(f"{where}: the file is empty", "a line of column names and a line for each row")
    names, rows = records[header], records[header + 1 :]
    above = tuple(line.strip() for line in lines[int(declared is not None) : names.first - 1] if line.strip())
    if looks_like_rows(names.cells, [row.cells for row in rows]):
        if header:
            first = records[0]
            raise _misfit(where, names.first, len(names.cells), first.first, len(first.cells), "cells")
        listed = ", ".join(map(strip_name, names.cells[:5]))
        raise DataError(
            f"{where}: the first line holds values instead of column names: {listed}",
            "a first line of column names",
        )
    if given and len(names.cells) == 1 and any(mark in names.cells[0] for mark in ",;\t|"):
        raise DataError(
            f"{where}: the only column is {names.cells[0].strip()!r}: the cells are not separated by {separator!r}",
            "dataset.separator=null",
        )
    layout = Layout(separator, [strip_name(name) for name in names.cells], names.last, above=above)
    return replace(_fit_rows(layout, rows, where), zeros=find_leading_zeros(row.cells for row in rows))


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


def refuse_record(where: str, record: Record, layout: Layout) -> DataError:
    """Return the error for a record whose number of cells does not fit the names."""
    names = len(layout.names) - layout.has_row_names - layout.has_empty_end
    return _misfit(where, record.first, len(record.cells), layout.header_end, names, "column names")


def _misfit(where: str, line: int, count: int, other: int, names: int, what: str) -> DataError:
    has = pluralize(count, "cell")
    other_has = f"{names:,} {what if names != 1 else what[:-1]}"
    return DataError(
        f"{where}: line {line} has {has}, but line {other} has {other_has}",
        "a file with as many cells in each line as column names (text with a separator in it must be quoted)",
    )


def _is_comment(line: str) -> bool:
    """Return whether a line is a comment. A quoted cell is none, and a tab before the mark may be an empty cell."""
    return line.lstrip(" ").startswith("#")


def _skip_comments(lines: list[str]) -> tuple[int, str | None]:
    """Return the number of blank lines and comments at the start, and the separator that Excel's `sep=` line names."""
    declared = None
    for index, line in enumerate(lines):
        text = line.strip().strip('"')
        if index == 0 and text.lower().startswith("sep=") and len(line.strip('\r\n"')) == 5:
            declared = check_separator(line.strip('\r\n"')[4])
        elif text and not _is_comment(line):
            return index, declared
    return len(lines), declared


def _read_first_records(lines: list[str], separator: str, above: int) -> list[Record]:
    """Return the first records of the lines, numbered as those below `above` lines."""
    records = _take(read_records(lines, separator), _MAX_RECORDS)
    return [replace(record, first=record.first + above, last=record.last + above) for record in records]


def _find_commented_names(
    lines: list[str], start: int, known: str | None, suffix: str
) -> tuple[str, list[Record]] | None:
    """Return the separator and the records from the names on, if the last comment above line `start` holds the names.

    numpy.savetxt writes them there. Such names show the separator, too.
    """
    above = max((index for index, line in enumerate(lines[:start]) if _is_comment(line)), default=None)
    if above is None:
        return None
    comment, below = lines[above].lstrip(" "), lines[above + 1 :]
    spelled = comment.lstrip("# ")
    separator = known or _find_separator([spelled, *below], suffix)
    records = _read_first_records([spelled, *below], separator, above)
    if records and not records[0].cells[0].strip():  # the mark itself is the first name
        records = _read_first_records([comment, *below], separator, above)
    if not records or records[0].first != above + 1:
        return None
    names, *rows = [record.cells for record in records]
    is_prose = len(names) == 1 or separator == BLANKS or f"{separator} " in spelled
    is_list = re.match(r"#\S", comment) is not None or not is_prose
    return (separator, records) if _are_names(names, rows, is_list) else None


def _are_names(names: list[str], rows: list[list[str]], is_list: bool) -> bool:
    """Return whether the cells of a comment are names, and the first row holds none.

    Args:
        is_list: Whether the comment is written as a list of names rather than as prose.
    """
    if not rows or not Counter(map(len, rows)).most_common(1)[0][0] == len(rows[0]) == len(names):
        return False
    first, others = rows[0], rows[1:]
    if looks_like_rows(names, [first]):
        return False
    if any(map(is_number, first)) or looks_like_rows(first, others):
        return True
    return is_list and not any(all(map(is_number, column)) for column in zip(*others, strict=False))


def _find_separator(lines: list[str], suffix: str) -> str:
    """Return the separator for which most lines have the same number of cells, which is at least 2."""
    best, best_score = "\t" if suffix == ".tsv" else ",", (0.5, 0.0)
    for separator in (best, *SEPARATORS):
        widths = [len(record.cells) for record in _take(read_records(lines, separator), _MAX_RECORDS)]
        (width, count), *_ = Counter(widths).most_common(1) or [(1, 0)]
        if width < 2:
            continue
        if widths[0] == width - 1:  # names without one for the row names; or, if it is one name, a mark in the rows
            count = count + 0.9 if width > 2 else 0.8 * count
        share = round(count / len(widths), 6)
        score = (share, 0.0 if separator == BLANKS else float(width))
        if score > best_score:
            best, best_score = separator, score
    return best


def _fit_rows(layout: Layout, rows: list[Record], where: str) -> Layout:
    """Return the layout with a column for each cell of the rows. DataError if they do not fit the names."""
    while len(layout.names) > 1 and not layout.names[-1] and all(len(row.cells) < len(layout.names) for row in rows):
        layout = replace(layout, names=layout.names[:-1])  # a separator at the end of the names only
    count = len(layout.names)
    widths = [len(row.cells) for row in rows]
    if not rows or max(widths) <= count:
        if rows and max(widths) < count and count > 1:
            raise refuse_record(where, rows[0], layout)
        return layout
    wrong = next(row for row in rows if len(row.cells) > count)
    ends = [row.cells[-1].strip() for row in rows if len(row.cells) > count]
    if max(widths) == count + 1 and not any(ends):
        return replace(layout, names=[*layout.names, ""], has_empty_end=True)
    first_cells = {row.cells[0] for row in rows}
    if min(widths) == max(widths) == count + 1 and len(first_cells) == len(rows):
        return replace(layout, names=["", *layout.names], has_row_names=True)
    raise refuse_record(where, wrong, layout)


def _take(records: Iterator[Record], most: int) -> Iterator[Record]:
    for _, record in zip(range(most), records, strict=False):
        yield record
