"""Read some columns of a table in one or more text files, a part of the lines at a time."""

import csv
import io
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.delimited import FoundText, describe_thousands, explain_line, find_text, open_rows
from exp.data.reading.gaps import EMPTY_WORDS, EmptyValues
from exp.data.reading.leading_zeros import leading_zero_notes
from exp.data.reading.rounded_numbers import rounded_notes
from exp.data.reading.source import Source, reading_errors
from exp.errors import DataError

# Cells that are read at a time.
_CELLS = 2**21

_WHOLE = re.compile(r"[-+]?[0-9]+")

# Bytes of a cell of text, besides its characters.
_OF_TEXT = 60


@dataclass(frozen=True)
class _Contents:
    """The type of each column, the number of rows, and the mean length of the words of each column of text."""

    types: dict[int, str]
    rows: int
    lengths: dict[int, float]


class TextParts:
    """A table in text files with the same columns; each column has the type that all of its cells have together.

    Raises:
        DataError: The lines are no table, or the files have other columns than the first one.
        ConfigError: An option has no such value.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        separator: str | None,
        decimal: str,
        encoding: str | None,
        empty: EmptyValues,
        text: Collection[str],
        header: str | bool | None = None,
    ) -> None:
        self._encoding = encoding
        self._texts: list[FoundText] = []
        for source in sources:
            with reading_errors(source.where, encoding):
                self._texts.append(find_text(source, separator, decimal, encoding, header))
        first = self._texts[0].layout
        for one in self._texts[1:]:
            if one.layout.names != first.names:
                raise DataError(
                    f"{one.source.where}: {one.source.name} has other columns than {self._texts[0].source.name}",
                    "files with the same columns in the same order",
                )
        self.names = first.names[:-1] if first.has_empty_end else first.names
        self.has_row_names = first.has_row_names
        self.notes = tuple(dict.fromkeys(note for one in self._texts for note in one.notes))
        self._decimal, self._empty = decimal, empty
        self._as_text = {place for place, name in enumerate(first.names) if name in text}

    @property
    def rows(self) -> int:
        """The number of rows, without empty ones at the end."""
        return self._contents.rows

    def count_bytes(self, place: int) -> int:
        """Return about how many bytes a cell of the column at `place` needs in memory."""
        return (
            8 if self._contents.types[place] not in ("text", "large") else int(_OF_TEXT + self._contents.lengths[place])
        )

    def read(self, places: Sequence[int]) -> tuple[Frame, list[str]]:
        """Return the columns at these places, named by them, and notes."""
        pd, types = import_pandas(), self._contents.types
        kinds = {place: {"text": str, "large": str, "float": np.float64}.get(types[place]) for place in places}
        parts = list(self._iterate(places, {place: kind for place, kind in kinds.items() if kind is not None}))
        frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(places))
        del parts
        for place in places:
            if types[place] == "large":
                frame[place] = self._parse(frame[place])
        notes = list[str]()
        if self._texts[0].layout.separator == ";" and self._decimal == ".":
            notes = describe_thousands(frame, [self.names[place] for place in map(int, frame.columns)])
        zeros = {place: cell for one in reversed(self._texts) for place, cell in one.layout.zeros.items()}
        notes += leading_zero_notes(frame, self.names, zeros)
        notes += rounded_notes((self.names[place], frame[place]) for place in places)
        return frame.iloc[: self.rows], notes

    def _parse(self, cells: Cells) -> Cells:
        """Return the cells of one column as pandas reads all of them together."""
        pd, text = import_pandas(), io.StringIO("\n".join(["cells", *cells.fillna("")]))
        options: dict[str, Any] = {"sep": "\0", "quoting": csv.QUOTE_NONE, "skip_blank_lines": False}
        options |= {"keep_default_na": False, "low_memory": False, "decimal": self._decimal}
        parsed = pd.read_csv(text, na_values=self._gaps, **options)["cells"]
        if parsed.dtype == object:
            return parsed.astype(np.float64)
        return cells if pd.api.types.is_string_dtype(parsed.dtype) else parsed

    @property
    def _gaps(self) -> list[str]:
        return [*(word for word in EMPTY_WORDS if word not in self._empty.kept), *self._empty.words]

    @cached_property
    def _contents(self) -> _Contents:
        """What a pass over all files finds."""
        places = range(len(self.names))
        kinds: dict[int, set[str]] = {place: set() for place in places}
        lengths = dict.fromkeys(places, 0.0)
        rows = trailing = 0
        is_repeated = False
        # With these types, integers are told from other numbers also where cells are empty.
        for part in self._iterate(places, dict.fromkeys(self._as_text, str), dtype_backend="numpy_nullable"):
            for place in places:
                kind = _kind_of(part[place], self._gaps)
                kinds[place].add(kind)
                if kind in ("text", "large"):
                    lengths[place] += float(part[place].astype("string").str.len().sum())
            if all("text" in found for found in kinds.values()) and len(self.names) > 1:
                repeated = (part.iloc[:, 1:] == self.names[1:]).fillna(value=False).all(axis=1)
                is_repeated = is_repeated or bool(repeated.any())
            empty = len(part) - _last_with_cells(part)
            trailing = trailing + empty if empty == len(part) else empty
            rows += len(part)
        types = {place: _join(found) for place, found in kinds.items()}
        if is_repeated and set(types.values()) == {"text"} and all(self.names):
            source = self._texts[0].source
            raise DataError(
                f"{source.where}: lines repeat the column names, which needs all rows in memory",
                "dataset.storage=memory, or files without these lines",
            )
        return _Contents(types, rows - trailing, {place: total / max(1, rows) for place, total in lengths.items()})

    def _iterate(self, places: Sequence[int], types: dict[int, Any], **more: Any) -> Iterator[Frame]:
        """Yield the columns at these places, a part of the rows at a time, those not in `types` with that of a part."""
        for one in self._texts:
            with reading_errors(one.source.where, self._encoding):
                yield from self._iterate_text(one, places, types, more)

    def _iterate_text(
        self, one: FoundText, places: Sequence[int], types: Mapping[int, Any], more: Mapping[str, Any]
    ) -> Iterator[Frame]:
        pd, names = import_pandas(), one.layout.names
        empty = {place: [""] if types.get(place) is str else self._gaps for place in places}
        options = {"sep": one.layout.separator, "header": None, "names": range(len(names)), "index_col": False}
        options |= {"keep_default_na": False, "skipinitialspace": True, "low_memory": False}
        options |= {"skip_blank_lines": len(names) > 1, "usecols": list(places), "decimal": self._decimal, **more}
        try:
            with open_rows(one) as stream, warnings.catch_warnings():
                warnings.filterwarnings("error", "Length of header or names", pd.errors.ParserWarning)
                reader = pd.read_csv(
                    stream, dtype=types, na_values=empty, chunksize=max(1, _CELLS // len(names)), **options
                )
                yield from reader
        except pd.errors.EmptyDataError:
            return
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise explain_line(error, one) from error


def _last_with_cells(frame: Frame) -> int:
    """Return the number of rows up to the last one that is not empty."""
    end = len(frame)
    while end and frame.iloc[end - 1].isna().all():
        end -= 1
    return end


def _kind_of(cells: Cells, gaps: Collection[str]) -> str:
    """Return what the cells of a part are: empty, bool, int, float, large (integers beyond 64 bits) or text."""
    pd = import_pandas()
    types = pd.api.types
    if cells.isna().all():
        return "empty"
    if types.is_bool_dtype(cells.dtype):
        return "bool"
    if types.is_integer_dtype(cells.dtype):
        return "int" if types.is_signed_integer_dtype(cells.dtype) else "large"
    if types.is_float_dtype(cells.dtype):
        return "float"
    words = cells[~cells.isin([pd.NA, *gaps])]  # in a column of large integers, pandas keeps the words of empty cells
    return "large" if len(words) and words.str.fullmatch(_WHOLE).all() else "text"


def _join(kinds: Collection[str]) -> str:
    """Return the type of a column whose parts have these kinds: text, float, or what pandas finds in all parts."""
    known = set(kinds) - {"empty"}
    if "text" in known or ("bool" in known and len(known) > 1):
        return "text"
    if "large" in known:
        return "large"
    return "found" if known in ({"bool"}, {"int"}) else "float"
