"""Read a sheet of an Excel file."""

import datetime
import importlib
import zipfile
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from exp.config.nearest_names import nearest
from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import (
    NoNamesError,
    count_label_rows,
    distinguish_names,
    find_header,
    label_notes,
    looks_like_rows,
    number_names,
    refuse_names,
    strip_name,
)
from exp.data.reading.source import Source
from exp.errors import DataError, pluralize, require_extra

# The rows of a sheet among which names of columns are looked for.
_FIRST_ROWS = 20


def read_excel(
    source: Source,
    sheet: str | None,
    text: Collection[str],
    keep_rows: bool = False,
    numbers: Collection[str] = (),
    header: str | bool | None = None,
) -> tuple[Frame, list[str], tuple[str, ...]]:
    """Return the frame of a sheet, its columns numbered; their stripped names; and notes.

    Args:
        sheet: The name of the sheet; None: the first one with cells.
        text: Names of columns whose numbers become text.
        keep_rows: Whether to keep empty rows between others.
        numbers: Names of columns in `text` whose numbers are no text: 1.234 is not 1234, whatever other cells are.
        header: False if there is no row of names.

    Raises:
        DataError: The file is damaged, there is no such sheet, or its first rows are no table.
        ConfigError: openpyxl is not installed.
    """
    title, titles, sheet_rows = _read_sheet(source, sheet)
    notes = (
        [f"read sheet '{title}' of {', '.join(titles)}; another one: dataset.sheet=..."]
        if (len(titles) > 1 and sheet is None)
        else []
    )
    places = [place for place, row in enumerate(sheet_rows) if row]
    rows = [sheet_rows[place] for place in places]
    if not rows:
        raise DataError(f"{source.where}: sheet '{title}' is empty", "a row of column names and a row for each row")
    shown = [[_spell(cell) for cell in _trim(row)] for row in rows[:500]]
    at = find_header(shown) if header is not False else 0
    width = max(map(len, rows))
    names = [strip_name(_spell(cell)) for cell in rows[at]] + [""] * (width - len(rows[at]))
    padded = [row + [""] * (width - len(row)) for row in shown[at + 1 :]]
    if header is False:
        refuse_names(source.where, "row", names, padded)
        names, at = number_names(width), -1
    elif looks_like_rows(names, padded):
        raise NoNamesError(source.where, "row", names)
    if at > 0:
        notes.append(f"skipped {pluralize(at, 'row')} above the column names: {' '.join(shown[0]).strip()[:60]!r}")
    if header is not False:
        labels = padded[: count_label_rows(padded)]
        notes += label_notes([" ".join(filter(None, row)) for row in labels])
        at += len(labels)
    names, repeated = distinguish_names(names)
    notes += repeated
    body = rows[at + 1 :]
    if keep_rows and body:
        body = sheet_rows[places[at + 1] :]
    columns: list[Cells] = []
    for place, name in enumerate(names):
        cells = [row[place] if place < len(row) else None for row in body]
        is_number = name in numbers
        if is_number and any(isinstance(cell, str) for cell in cells):
            cells = [_spell_plainly(cell) if isinstance(cell, float) else cell for cell in cells]
        columns.append(_convert(cells, name in text and not is_number))
    return import_pandas().DataFrame(dict(enumerate(columns))), names, tuple(notes)


def find_other_sheet(source: Source, sheet: str | None, names: Collection[str]) -> str | None:
    """Return the first other sheet with a row of cells that has all these names among the first ones; None without one.

    Args:
        sheet: The sheet that was read; None: the first one with cells.

    Raises:
        DataError: The file is damaged.
        ConfigError: openpyxl is not installed.
    """
    own, titles, _ = _read_sheet(source, sheet)
    for title in titles:
        if title == own:
            continue
        rows = _read_sheet(source, title)[2][:_FIRST_ROWS]
        if any({*names} <= {strip_name(_spell(cell)) for cell in row} for row in rows):
            return title
    return None


def _read_sheet(source: Source, sheet: str | None) -> tuple[str, list[str], list[list[Any]]]:
    """Return the name of the sheet that was read, the names of all sheets, and its rows."""
    with require_extra("openpyxl", source.where, "excel"):
        openpyxl = importlib.import_module("openpyxl")
    with source.open() as stream:
        try:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            titles = [str(page.title) for page in book.worksheets]
            if sheet is not None and str(sheet) not in titles:
                near = nearest(str(sheet), titles)
                raise DataError(
                    f"dataset.sheet={sheet}: unknown sheet '{sheet}' (available: {', '.join(titles)})",
                    f"'dataset.sheet=\"{near or titles[0]}\"'",
                    key="dataset.sheet",
                )
            sheet_rows: list[list[Any]] = []
            title = ""
            for page in book.worksheets:
                title = str(page.title)
                if sheet in (None, title) or str(sheet) == title:
                    sheet_rows = _read_rows(page)
                    if sheet_rows or sheet is not None:
                        break
            book.close()
        except (KeyError, ValueError, TypeError, AttributeError, IndexError, zipfile.BadZipFile, SyntaxError) as error:
            problem = f"{source.where}: the Excel file cannot be read: {' '.join(str(error).split())}"
            raise DataError(problem, "the file saved again by Excel, or as .csv") from error
    return title, titles, sheet_rows


def _read_rows(page: Any) -> list[list[Any]]:
    """Return the rows up to the last one with a cell, without empty cells at their ends."""
    page.reset_dimensions()  # some programs write wrong ones
    rows: list[list[Any]] = []
    empty = 0  # a sheet may end with a million rows that have a format and no cells
    for row in page.iter_rows(values_only=True):
        if cells := _trim(list(row)):
            rows += [[] for _ in range(empty)]
            rows.append(cells)
        empty = 0 if cells else empty + 1
    return rows


def _trim(row: Sequence[Any]) -> list[Any]:
    end = len(row)
    while end and (row[end - 1] is None or row[end - 1] == ""):
        end -= 1
    return list(row[:end])


def _spell(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell).strip()


def _spell_plainly(number: float) -> str:
    """Return a number as text whose point cannot separate thousands: 1.2340."""
    return _spell(number) if number.is_integer() else f"{np.format_float_positional(number)}0"


def _convert(cells: list[Any], is_text: bool) -> Cells:
    """Return a column of one type: numbers, booleans, times, or text if the cells are of several."""
    pd = import_pandas()
    kinds: set[type] = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} and not is_text:
        if kinds == {int} and None not in cells and all(abs(cell) < 2**63 for cell in cells):
            return pd.Series(cells, dtype=np.int64)
        return pd.Series([np.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
    if kinds == {bool} and not is_text:
        return pd.Series(cells)
    if kinds <= {datetime.datetime, datetime.date} and not is_text:
        try:
            return pd.to_datetime(pd.Series(cells, dtype=object))
        except (ValueError, OverflowError):  # years that pandas has no times for
            return pd.Series([None if cell is None else cell.isoformat(" ") for cell in cells])
    if kinds == {datetime.timedelta} and not is_text:
        return pd.Series([np.nan if cell is None else cell.total_seconds() for cell in cells], dtype=np.float64)
    return pd.Series([None if cell is None else _spell(cell) for cell in cells])
