"""Where the cells of a text file are: the separator, the line of column names, and what is above it."""

import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exp.data.reading.header import (
    NoNamesError,
    count_label_rows,
    distinguish_names,
    find_header,
    is_number,
    label_notes,
    looks_like_rows,
    number_names,
    refuse_names,
    strip_name,
)
from exp.data.reading.leading_zeros import find_leading_zeros
from exp.data.reading.records import BLANKS, Record, check_separator, find_separator, read_first_records
from exp.errors import DataError, pluralize


@dataclass(frozen=True)
class Layout:
    """How the cells of a text file become columns.

    Attributes:
        names: The stripped names of all columns, also of those below that have no name in the file.
        header_end: The number of lines up to the last one of the names and the labels, or above the first row.
        has_names: Whether the file has a line of names.
        has_row_names: Whether the first column holds row names, and has no name itself (as R writes tables).
        has_empty_end: Whether each line ends with a separator, so that the last column is empty and has no name.
        above: The lines above the names or the first row, without empty ones.
        labels: The rows below the names that hold units or types and are no rows: their cells, joined by blanks.
        notes: What was decided about the names, for the user.
        zeros: A cell of each column whose first cells have a whole number with zeros in front, by the column's place.
    """

    separator: str
    names: list[str]
    header_end: int
    has_names: bool = True
    has_row_names: bool = False
    has_empty_end: bool = False
    above: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    zeros: Mapping[int, str] = field(default_factory=dict[int, str])


def find_layout(
    sample: str, where: str, separator: str | None, suffix: str, header: str | bool | None = None
) -> Layout:
    """Return the layout of the text that begins with `sample`, a number of whole lines.

    Args:
        where: The key and the path, for messages.
        separator: As declared; None to find it.
        suffix: The suffix of the file's name, which decides between separators that fit equally well.
        header: False if there is no line of names.

    Raises:
        DataError: There are no lines, or the first ones do not fit the names.
        ConfigError: The declared separator is not supported.
    """
    lines = list(io.StringIO(sample, newline=""))
    start, declared = _skip_comments(lines)
    given = check_separator(separator)
    known = given or declared
    commented = None if header is False else _find_commented_names(lines, start, known, suffix)
    if commented:
        (separator, records), at = commented, 0
    else:
        separator = known or find_separator(lines[start:], suffix)
        records = read_first_records(lines[start:], separator, start)
        at = find_header([record.cells for record in records]) if records and header is not False else 0
    if not records:
        raise DataError(f"{where}: the file is empty", "a line of column names and a line for each row")
    names, rows = records[at], records[at + 1 :]
    above = tuple(line.strip() for line in lines[int(declared is not None) : names.first - 1] if line.strip())
    if header is False:
        refuse_names(where, "line", names.cells, [row.cells for row in rows])
    elif looks_like_rows(names.cells, [row.cells for row in rows]):
        if at:
            first = records[0]
            raise _misfit(where, names.first, len(names.cells), first.first, len(first.cells), "cells")
        raise NoNamesError(where, "line", names.cells)
    if given and len(names.cells) == 1 and any(mark in names.cells[0] for mark in ",;\t|"):
        raise DataError(
            f"{where}: the only column is {names.cells[0].strip()!r}: the cells are not separated by {separator!r}",
            "dataset.separator=null",
        )
    if header is False:
        layout, rows = (
            Layout(separator, _number_columns(records), names.first - 1, has_names=False, above=above),
            records,
        )
    else:
        count = count_label_rows([row.cells for row in rows])
        labels, rows = rows[:count], rows[count:]
        spelled = tuple(" ".join(filter(None, map(strip_name, row.cells))) for row in labels)
        end = [names, *labels][-1].last
        layout = Layout(separator, [strip_name(name) for name in names.cells], end, above=above, labels=spelled)
    layout = _fit_rows(layout, rows, where)
    distinct, notes = distinguish_names(layout.names)
    notes = (*label_notes(layout.labels), *notes)
    return replace(layout, names=distinct, notes=notes, zeros=find_leading_zeros(row.cells for row in rows))


def refuse_record(where: str, record: Record, layout: Layout) -> DataError:
    """Return the error for a record whose number of cells does not fit the names."""
    names = len(layout.names) - layout.has_row_names - layout.has_empty_end
    what, other = (
        ("column names", layout.header_end - len(layout.labels))
        if layout.has_names
        else ("cells", layout.header_end + 1)
    )
    return _misfit(where, record.first, len(record.cells), other, names, what)


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
    separator = known or find_separator([spelled, *below], suffix)
    records = read_first_records([spelled, *below], separator, above)
    if records and not records[0].cells[0].strip():  # the mark itself is the first name
        records = read_first_records([comment, *below], separator, above)
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


def _number_columns(records: list[Record]) -> list[str]:
    """Return a name for each cell of the first row; none for the last one if the lines end with a separator."""
    width = len(records[0].cells)
    has_end = width > 1 and not any(cell.strip() for record in records for cell in record.cells[width - 1 :])
    return [*number_names(width - has_end), *([""] if has_end else [])]


def _fit_rows(layout: Layout, rows: list[Record], where: str) -> Layout:
    """Return the layout with a column for each cell of the rows. DataError if they do not fit the names."""
    while (
        layout.has_names
        and len(layout.names) > 1
        and not layout.names[-1]
        and all(len(row.cells) < len(layout.names) for row in rows)
    ):
        layout = replace(layout, names=layout.names[:-1])  # a separator at the end of the names only
    count = len(layout.names)
    widths = [len(row.cells) for row in rows]
    if not rows or max(widths) <= count:
        if rows and max(widths) < count and count > 1:
            raise refuse_record(where, rows[0], layout)
        return layout
    wrong = next(row for row in rows if len(row.cells) > count)
    ends = [row.cells[-1].strip() for row in rows if len(row.cells) > count]
    if not layout.has_names:
        raise refuse_record(where, wrong, layout)
    if max(widths) == count + 1 and not any(ends):
        return replace(layout, names=[*layout.names, ""], has_empty_end=True)
    first_cells = {row.cells[0] for row in rows}
    if min(widths) == max(widths) == count + 1 and len(first_cells) == len(rows):
        return replace(layout, names=["", *layout.names], has_row_names=True)
    raise refuse_record(where, wrong, layout)
