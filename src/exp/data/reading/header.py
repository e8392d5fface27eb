"""Which row of a table holds the column names."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, zip_longest

from exp.data.columns.gap_marks import is_gap
from exp.errors import DataError, pluralize

Cells = Sequence[str]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)

_DIGIT = re.compile(r"[0-9]")

# At most so many rows of units and types are found below the names, above at least so many others.
_MOST_LABEL_ROWS, _FEWEST_ROWS = 3, 3


def is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def strip_name(name: str) -> str:
    """Return a column name without blanks or single quotes around it, and with one blank for a line end in it."""
    return re.sub(r"\A'([^']+)'\Z", r"\1", re.sub(r"\s*[\r\n]\s*", " ", name.strip()))


def distinguish_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names, numbered where several columns have the same, such as `sum (2)`, and a note about them.

    They are not numbered by their places: new rows may lack other columns, such as the target.
    """
    counts = Counter(filter(None, names))
    distinct = [
        f"{name} ({names[: at + 1].count(name)})" if counts[name] > 1 else name for at, name in enumerate(names)
    ]
    new = [after for before, after in zip(names, distinct, strict=True) if after != before]
    return distinct, [f"columns of the same name: {', '.join(map(repr, new))} here"] if new else []


def number_names(count: int) -> list[str]:
    """Return the names of the columns of a table without names: column_1, column_2, ..."""
    return [number_name(place) for place in range(count)]


def number_name(place: int) -> str:
    return f"column_{place + 1}"


class NoNamesError(DataError):
    """The first row of a table holds values in place of the names of `columns` columns."""

    def __init__(self, where: str, row: str, cells: Cells) -> None:
        listed, fix = ", ".join(map(strip_name, cells[:5])), "dataset.header=false"
        super().__init__(f"{where}: the first {row} holds values instead of column names: {listed}", fix)
        self.columns = len(cells) - (not cells[-1].strip())


def refuse_names(where: str, row: str, names: Cells, rows: Sequence[Cells]) -> None:
    """Raise DataError if the first row of a table, which is read without names, holds names: words above numbers."""
    named = {place: strip_name(name) for place, name in enumerate(names) if name.strip()}
    below = {place: {cells[place].strip() for cells in rows if place < len(cells)} for place in named}
    found = [*named.values()]
    are_words = len({*found}) == len(found) and not any(is_number(name) or is_gap(name) for name in found)
    is_repeated = any(name in below[place] for place, name in named.items())
    are_above_numbers = any(
        any(map(is_number, column)) and all(is_number(cell) or is_gap(cell) for cell in column)
        for column in below.values()
    )
    fits = all(len(cells) <= len(names) for cells in rows)
    if found == number_names(len(found)) or (fits and are_words and are_above_numbers and not is_repeated):
        what, fix = f"{where}: the first {row} holds column names: {', '.join(found[:5])}", "dataset.header=auto"
        raise DataError(what, fix, key="dataset.header", override=fix)


def find_header(rows: Sequence[Cells]) -> int:
    """Return the index of the row of names: the first one with about as many cells as most rows.

    Rows above it are titles. The names may be one fewer than the cells, where those of the rows have no name.
    """
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    if width == 1:
        return 0
    for index, row in enumerate(rows[:-1]):
        if len(row) >= width - 1 and not _is_title(row, rows[index + 1], rows[index + 2 :], width):
            return index
    return 0


def _is_title(row: Cells, following: Cells, later: Sequence[Cells], width: int) -> bool:
    """Return whether a row is a title, which has few cells and is followed by the names."""
    if sum(bool(cell.strip()) for cell in row) <= 1 and len(row) >= width and width > 2:
        return True
    if len(row) >= width:
        return False
    # One cell fewer than the others: names, unless a later row holds them.
    if len(following) < width and later:
        return _is_title(following, later[0], later[1:], width)
    if len(following) != width or not later or any(map(is_number, following)):
        return False
    full = [cells for cells in later if len(cells) == width]
    is_comment = len(row) == 1 and row[0].startswith("#")  # in quotes
    return is_comment or any(full and all(is_number(cells[place]) for cells in full) for place in range(width))


def count_label_rows(rows: Sequence[Cells]) -> int:
    """Return how many rows below the names hold units or types: words, where all others hold numbers or dates.

    They are no rows: a class of their own in the target, and an empty cell in each column of numbers.
    """
    if not rows or any(map(is_number, rows[0])):
        return 0
    most = min(_MOST_LABEL_ROWS, len(rows) - _FEWEST_ROWS)
    return next((count for count in range(most, 0, -1) if _hold_labels(rows[:count], rows[count:])), 0)


def label_notes(labels: Sequence[str]) -> list[str]:
    """Return a note about rows of units or types, each with its cells joined by blanks; none without such rows."""
    what = f"skipped {pluralize(len(labels), 'row')} of units or types below the column names"
    return [f"{what}: {labels[0][:60]!r}"] if labels else []


def _hold_labels(labels: Sequence[Cells], rows: Sequence[Cells]) -> bool:
    """Return whether the first rows hold words, and no values, in the columns in which the others hold values."""
    columns = [[cell.strip() for cell in column] for column in zip_longest(*labels, *rows, fillvalue="")]
    words = 0
    for column in columns:
        above, cells = column[: len(labels)], [cell for cell in column[len(labels) :] if not is_gap(cell)]
        if cells and all(map(_DIGIT.search, cells)):
            is_value = is_number if all(map(is_number, cells)) else _DIGIT.search
            if any(map(is_value, above)):
                return False
            words += not is_gap(above[0])
    return words > 1 and all(any(column[number] for column in columns) for number in range(len(labels)))


def looks_like_rows(names: Cells, rows: Sequence[Cells]) -> bool:
    """Return whether the names are rather the first row of a table without names.

    Names that are numbers are accepted if they look like labels (years, or 0, 1, 2, ...), or stand over words.
    """
    names = [name.strip() for name in names]
    others = [row for row in rows if [cell.strip() for cell in row] != names and len(row) == len(names)]
    if not others or not any(names):
        return False
    columns = [{row[place].strip() for row in others} for place in range(len(names))]
    twice = [place for place, name in enumerate(names) if name and names.count(name) > 1]
    if twice and all(names[place] in columns[place] for place in twice):
        return True
    numbers = [name for name in names if is_number(name)]
    words = [(name, column) for name, column in zip(names, columns, strict=True) if name and not is_number(name)]
    if not numbers:  # words that are all found again below, in short lists of words
        is_repeated = all(name in column for name, column in words)
        few = sum(map(len, columns)) < len(names) * len(others) / 2
        return is_repeated and len(words) > 1 and len(others) >= 10 and few
    over_numbers = any(
        is_number(name) and all(is_number(cell) for cell in column if cell)
        for name, column in zip(names, columns, strict=True)
    )
    return over_numbers and not _are_labels(numbers, is_beside_words=any(name not in column for name, column in words))


def _are_labels(numbers: Sequence[str], is_beside_words: bool) -> bool:
    """Return whether the numbers are years, places (0, 1, 2, ...) or a scale, and not the values of a row."""
    values = [float(number) for number in numbers]
    steps = {round(after - before, 9) for before, after in pairwise(values)}
    is_whole = all(re.fullmatch(r"\d{1,4}", number) for number in numbers)
    is_year = is_whole and all(1800 <= value <= 2200 for value in values)
    if len(values) == 1:
        return is_year
    is_even = is_whole and len(steps) == 1 and 0 not in steps
    if is_even and (is_year or (values[:2] == [0, 1] and (is_beside_words or len(values) > 2))):
        return True
    is_scale = min(steps) > 0 or max(steps) < 0
    return is_scale and ((is_beside_words and (is_even or len(values) >= 5)) or len(values) >= 10)
