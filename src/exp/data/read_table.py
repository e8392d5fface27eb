"""Read the file of a table: separated text, Parquet or Excel."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from exp.config.python_names import is_held
from exp.data.frame import Cells, Frame, import_pandas
from exp.data.held import find_held
from exp.data.input_files import find_file, find_files
from exp.data.reading.delimited import read_delimited
from exp.data.reading.excel import read_excel
from exp.data.reading.gaps import EmptyValues, clean_cells, parse_empty_values
from exp.data.reading.in_memory import read_in_memory
from exp.data.reading.names import drop_repeated_names, name_columns
from exp.data.reading.parquet import ParquetParts, check_header
from exp.data.reading.source import open_source, reading_errors
from exp.data.reading.streamed import StreamedTable
from exp.errors import DataError

__all__ = ["Cells", "Frame", "Table", "find_file", "import_pandas", "read_frame"]


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        frame: Numbers, words without blanks around them, booleans and times; NaN where a cell is empty. The names of
            the columns are stripped, unique strings.
        notes: What the reader decided, for the user.
    """

    frame: Frame
    notes: tuple[str, ...] = ()


def read_frame(
    path: str,
    separator: str | None = None,
    decimal: str | None = ".",
    encoding: str | None = "utf-8",
    key: str = "dataset.path",
    *,
    sheet: str | None = None,
    na_values: Sequence[object] | None = None,
    keep_words: Sequence[object] | None = None,
    text: Collection[str] = (),
    keep_row_names: bool = False,
    keep_rows: bool = False,
    numbers: Collection[str] = (),
    header: str | bool | None = None,
) -> Table:
    """Read a table with column names from a file of text, Parquet or Excel; text may be compressed.

    Args:
        separator: The character between cells, tab, blanks (one or more), or None to find it.
        decimal: The decimal mark.
        encoding: The encoding of text. A byte order mark overrides it; text that is not utf-8 is read as cp1252.
        key: The key that holds the path, for messages.
        sheet: The name of the sheet of an Excel file; None: the first one with cells.
        na_values: More words and numbers that stand for an empty cell.
        keep_words: Words such as NA that do not stand for an empty cell.
        text: Columns to read as they are spelled, such as codes with zeros in front.
        keep_row_names: Whether to keep a first column without a name that only names the rows.
        keep_rows: Whether to keep rows that repeat the names, and empty rows between others in Excel.
        numbers: Those of `text` that hold numbers: in Excel they are not spelled.
        header: False if the file has no line of names: the columns are then column_1, column_2, ...

    Raises:
        DataError: The file cannot be read, has no rows, or has no usable column names.
        ConfigError: A package is not installed, or an option has no such value.
    """
    where = f"{key}={path}"
    empty = parse_empty_values(na_values, keep_words)
    if is_held(path):
        return frame_in_memory(
            find_held(path, key, "DataFrame"), where, empty, text, decimal, keep_row_names, keep_rows
        )
    files = find_files(path, key)
    if len(files) > 1:
        with reading_errors(where, encoding):
            table = open_table(path, key, separator, decimal, encoding, empty, text, header)
            frame, notes = table.read([*table.places])
        return Table(frame, (*table.notes, *notes))
    (file,) = files
    with reading_errors(where, encoding):
        source = open_source(file, where)
        if source.kind == "parquet":
            check_header(header, where)
            parts = ParquetParts([source])
            frame, notes = parts.read(range(len(parts.names)))
            names, has_row_names = [parts.names[place] for place in map(int, frame.columns)], False
            frame.columns = range(len(names))
        elif source.kind == "excel":
            frame, names, notes = read_excel(source, sheet, text, keep_rows, numbers, header)
            has_row_names = False
        else:
            frame, names, has_row_names, notes = read_delimited(
                source, separator, decimal or ".", encoding, empty, text, header
            )
    frame, row_notes = drop_repeated_names(frame, names, keep_rows)
    if not len(frame):
        raise DataError(f"{where}: the file has column names but no rows", "a line for each row")
    frame, name_notes = name_columns(frame, names, where, has_row_names, keep_row_names)
    frame, cell_notes = clean_cells(frame, empty, text, decimal)
    return Table(frame, (*notes, *row_notes, *name_notes, *cell_notes))


def frame_in_memory(
    given: Frame,
    where: str,
    empty: EmptyValues,
    text: Collection[str] = (),
    decimal: str | None = ".",
    keep_row_names: bool = False,
    keep_rows: bool = False,
) -> Table:
    """Return a DataFrame of the caller's as the table of the CSV file that it would be saved to, without its index."""
    frame, names, notes = read_in_memory(given, where)
    if not keep_rows:
        frame, row_notes = drop_repeated_names(frame, names)
        notes += row_notes
    if not len(frame):
        raise DataError(f"{where}: the DataFrame has no rows", "a DataFrame with rows")
    frame, name_notes = name_columns(frame, names, where, False, keep_row_names)
    frame, cell_notes = clean_cells(frame, empty, text, decimal)
    return Table(frame, (*notes, *name_notes, *cell_notes))


def open_table(
    path: str,
    key: str,
    separator: str | None,
    decimal: str | None,
    encoding: str | None,
    empty: EmptyValues,
    text: Collection[str],
    header: str | bool | None = None,
) -> StreamedTable:
    """Return the table in a file, or in several, to read some columns at a time. `read_frame` describes the others."""
    where = f"{key}={path}"
    with reading_errors(where, encoding):
        return StreamedTable(find_files(path, key), where, separator, decimal, encoding, empty, text, header)
