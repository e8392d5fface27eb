"""Read a text file: cells between separators, with pandas' C engine."""

import io
import warnings
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats
from exp.data.frame import Frame, import_pandas
from exp.data.reading.encoding import find_encoding
from exp.data.reading.gaps import EMPTY_WORDS, EmptyValues
from exp.data.reading.layout import Layout, find_layout, refuse_record
from exp.data.reading.leading_zeros import leading_zero_notes
from exp.data.reading.records import Record, read_records
from exp.data.reading.rounded_numbers import rounded_notes
from exp.data.reading.source import Source
from exp.errors import ConfigError, DataError, pluralize

# One in ten numbers of three decimals ends with a zero.
_MAX_SHARE_OF_ZEROS = 0.3

# The lines to find the layout in: this many characters, and more if they have fewer line ends.
_SAMPLE = 1 << 18
_FEWEST_LINES = 20


def read_delimited(
    source: Source,
    separator: str | None,
    decimal: str,
    encoding: str | None,
    empty: EmptyValues,
    text: Collection[str],
    header: str | bool | None = None,
) -> tuple[Frame, list[str], bool, tuple[str, ...]]:
    """Read the cells of a text file.

    Args:
        empty: The words that are empty cells; in columns of words they are left to the caller.
        text: Names of columns to read as text, as they are spelled.
        header: False if there is no line of names.

    Returns:
        The frame, its columns numbered; their names, "" for none; whether the first column holds row names; and notes.

    Raises:
        DataError: The lines are no table.
        ConfigError: An option has no such value.
    """
    found = find_text(source, separator, decimal, encoding, header)
    layout, notes = found.layout, list(found.notes)
    frame = _read_cells(found, decimal, empty, text)
    _check_extra_columns(frame, found)
    if layout.has_empty_end:
        frame, layout.names[-1:] = frame.iloc[:, :-1], []
    if layout.separator == ";" and decimal == ".":
        notes += describe_thousands(frame, layout.names)
    notes += leading_zero_notes(frame, layout.names, layout.zeros)
    notes += rounded_notes((layout.names[place], frame[place]) for place in map(int, frame.columns))
    return frame, layout.names, layout.has_row_names, tuple(notes)


@dataclass(frozen=True)
class FoundText:
    """A text file, its encoding, how its cells become columns, and notes."""

    source: Source
    encoding: str
    layout: Layout
    notes: tuple[str, ...]


def find_text(
    source: Source, separator: str | None, decimal: str, encoding: str | None, header: str | bool | None = None
) -> FoundText:
    """Return the encoding and the layout of a text file.

    Raises:
        DataError: The lines are no table.
        ConfigError: An option has no such value.
    """
    encoding, encoding_notes = find_encoding(source, encoding)
    notes = list(encoding_notes)
    if len(decimal) != 1:
        raise ConfigError(f"dataset.decimal={decimal}: the decimal mark must be one character", "dataset.decimal=.")
    with _open_text(source, encoding) as stream:
        layout = find_layout(_read_sample(stream), source.where, separator, Path(source.name).suffix.lower(), header)
    if layout.above:
        what, below = pluralize(len(layout.above), "line"), "column names" if layout.has_names else "first row"
        notes.append(f"skipped {what} above the {below}: {layout.above[0][:60]!r}")
    return FoundText(source, encoding, layout, (*notes, *layout.notes))


def _read_cells(found: FoundText, decimal: str, empty: EmptyValues, text: Collection[str]) -> Frame:
    """Return the frame of the lines below the names, its columns numbered."""
    pd, layout = import_pandas(), found.layout
    gaps = [word for word in EMPTY_WORDS if word not in empty.kept]
    options = {"sep": layout.separator, "header": None, "names": range(len(layout.names)), "index_col": False}
    options |= {"keep_default_na": False, "skipinitialspace": True, "low_memory": False}
    options["skip_blank_lines"] = len(layout.names) > 1  # in a single column, a blank line is an empty cell
    as_text = {place: str for place, name in enumerate(layout.names) if name in text}
    try:
        with open_rows(found) as stream, warnings.catch_warnings():
            # A warning for lines with more cells than names, which pandas would leave out.
            warnings.filterwarnings("error", "Length of header or names", pd.errors.ParserWarning)
            frame = pd.read_csv(stream, dtype=as_text, decimal=decimal, na_values=[*gaps, *empty.words], **options)
        # NA among words may be a word: these columns are read again, as they are spelled.
        words = [place for place in frame if frame[place].hasnans and isinstance(frame[place].dtype, pd.StringDtype)]
        if words:
            with open_rows(found) as stream:
                spelled = pd.read_csv(stream, dtype=str, na_values=[""], usecols=words, **options)
            frame[words] = spelled[words]
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame(columns=range(len(layout.names)))
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise explain_line(error, found) from error
    for place, cells in frame.items():
        if cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=True) == "integer":  # beyond int64
            frame[place] = cells.astype(np.float64)
    return frame


def _is_whole(values: Floats) -> NDArray[np.bool_]:
    return np.isclose(values, np.round(values), rtol=0, atol=1e-6)


def describe_thousands(frame: Frame, names: Sequence[str]) -> list[str]:
    """Return a note for columns such as 415, 4.098, 40.642, whose points may be marks of the thousands."""
    doubtful: list[str] = []
    for name, (_, cells) in zip(names, frame.items(), strict=True):
        if cells.dtype == np.float64:
            values = np.abs(cells.dropna().to_numpy())
            broken = values[values != np.round(values)]
            if not len(broken) or values.max() >= 1000 or broken.min() < 1:
                continue
            if _is_whole(broken * 1000).all() and _is_whole(broken * 100).mean() < _MAX_SHARE_OF_ZEROS:
                doubtful.append(name)
    if not doubtful:
        return []
    listed = ", ".join(repr(name) for name in doubtful)
    return [f"columns {listed}: if the point separates thousands, as in 1.234 for 1234: 'dataset.decimal=\",\"'"]


@contextmanager
def _open_text(source: Source, encoding: str) -> Generator[Any]:
    """Open the text with its line ends as they are."""
    with source.open() as binary, io.TextIOWrapper(binary, encoding, newline="") as stream:
        yield stream


@contextmanager
def open_rows(found: FoundText) -> Generator[Any]:
    """Open the text below the names."""
    with _open_text(found.source, found.encoding) as stream:
        for _ in range(found.layout.header_end):
            next(stream, None)
        yield stream


def _read_sample(stream: Any) -> str:
    """Return the whole lines at the start."""
    chunks, ends = list[str](), 0
    while not chunks or ends < _FEWEST_LINES:
        chunk = stream.read(_SAMPLE)
        chunks.append(chunk)
        ends += max(chunk.count("\n"), chunk.count("\r"))
        if len(chunk) < _SAMPLE:
            return "".join(chunks)
    sample = "".join(chunks)
    return sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1]


def _scan(found: FoundText) -> Iterator[Record]:
    """Yield the records below the names. It takes far longer than pandas: to find the line that is at fault."""
    with open_rows(found) as stream:
        above = found.layout.header_end
        for record in read_records(stream, found.layout.separator):
            yield Record(record.cells, record.first + above, record.last + above)


def copy_first_lines(found: FoundText, rows: int) -> str:
    """Return the lines of the file up to the last one of so many rows, as they are."""
    last = found.layout.header_end
    for _, record in zip(range(rows), _scan(found), strict=False):
        last = record.last
    with _open_text(found.source, found.encoding) as stream:
        return "".join(islice(stream, last))


def explain_line(error: Exception, found: FoundText) -> DataError:
    """Return the error that says which line pandas could not read."""
    source, layout, last = found.source, found.layout, None
    for last in _scan(found):
        if len(last.cells) > len(layout.names):
            return refuse_record(source.where, last, layout)
    if "EOF inside string" in str(error) and last is not None:
        problem = f"{source.where}: line {last.first} begins a quoted cell that does not end"
        return DataError(problem, "a file with both quotes around a quoted cell")
    is_warning = isinstance(error, Warning)
    message = "a line has more cells than column names" if is_warning else " ".join(str(error).split())
    return DataError(f"{source.where}: {message}", "a file with as many cells in each line as column names")


def _check_extra_columns(frame: Frame, found: FoundText) -> None:
    """Raise DataError if a line does not have the cells for which a column without a name was added."""
    source, layout = found.source, found.layout
    if layout.has_empty_end and frame.iloc[:, -1].notna().any():
        for record in _scan(found):
            if len(record.cells) == len(layout.names) and record.cells[-1].strip():
                raise refuse_record(source.where, record, layout)
    if layout.has_row_names:
        if frame.iloc[:, -1].hasnans:  # otherwise no line lacks a cell
            for record in _scan(found):
                if len(record.cells) != len(layout.names):
                    raise refuse_record(source.where, record, layout)
        if not frame.iloc[:, 0].is_unique:
            raise refuse_record(source.where, next(_scan(found)), layout)
