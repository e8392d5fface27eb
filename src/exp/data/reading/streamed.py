"""A table in files of text or Parquet, of which some columns are read at a time."""

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from exp.data.frame import Frame, import_pandas
from exp.data.reading.gaps import EmptyValues, clean_cells
from exp.data.reading.names import choose_names, is_index_name
from exp.data.reading.parquet import ParquetParts, check_header
from exp.data.reading.source import Source, open_source, reading_errors
from exp.data.reading.text_parts import TextParts
from exp.errors import DataError


class StreamedTable:
    """A table in one or more files with the same columns.

    Args:
        where: The key and the path, for messages. `exp.data.read_table.read_frame` describes the others.

    Raises:
        DataError: The files cannot be read, have other columns, or are a sheet of Excel, which is read as a whole.
        ConfigError: A package is not installed, or an option has no such value.
    """

    def __init__(
        self,
        files: Sequence[Path],
        where: str,
        separator: str | None,
        decimal: str | None,
        encoding: str | None,
        empty: EmptyValues,
        text: Collection[str],
        header: str | bool | None = None,
    ) -> None:
        key = where.partition("=")[0]
        sources: list[Source] = []
        for file in files:
            at = where if len(files) == 1 else f"{key}={file}"
            with reading_errors(at, encoding):
                sources.append(open_source(file, at))
        kinds = {source.kind for source in sources}
        if len(kinds) > 1 or "excel" in kinds:
            what = "an Excel file is read as a whole" if kinds == {"excel"} else "the files are of several kinds"
            raise DataError(f"{where}: {what}", "the table saved as .csv or .parquet")
        count = f"{len(files):,} files: {files[0].name} to {files[-1].name}"
        self._counted = (count,) if len(files) > 1 else ()
        self._where, self._decimal, self._empty, self._text = where, decimal, empty, text
        if kinds == {"parquet"}:
            check_header(header, where)
            self._parts: ParquetParts | TextParts = ParquetParts(sources)
        else:
            self._parts = TextParts(sources, separator, decimal or ".", encoding, empty, text, header)
        if not self.rows:
            raise DataError(f"{where}: the file has column names but no rows", "a line for each row")

    @property
    def rows(self) -> int:
        return self._parts.rows

    @cached_property
    def places(self) -> dict[str, int]:
        """The columns by name, each with its place in the file; those that only number the rows are left out."""
        return {name: place for place, name in sorted(self._naming[0].items())}

    @property
    def notes(self) -> tuple[str, ...]:
        """Which files there are, if several, and what the reader decided for the whole table."""
        return (*self._counted, *self._parts.notes, *self._naming[1])

    @cached_property
    def _naming(self) -> tuple[dict[int, str], list[str]]:
        """The names of the columns by place, and notes. Only columns without a name of their own are read."""
        names, has_row_names = self._parts.names, self._parts.has_row_names
        odd = {place for place, name in enumerate(names) if not name or is_index_name(name)}
        odd |= {0} if has_row_names else set()
        frame = self._parts.read(sorted(odd))[0] if odd else import_pandas().DataFrame()
        chosen, notes = choose_names(frame, names, self._where, has_row_names, keep_row_names=False)
        return {place: name for place, name in enumerate(names) if place not in odd} | chosen, notes

    def count_bytes(self, name: str) -> int:
        """Return about how many bytes a cell of a column needs in memory."""
        return self._parts.count_bytes(self.places[name])

    def read(self, names: Collection[str]) -> tuple[Frame, list[str]]:
        """Return some columns in the order of the file, cleaned as by `read_frame`, and notes."""
        wanted = sorted(place for name, place in self.places.items() if name in names)
        frame, notes = self._parts.read(wanted)
        of_place = {place: name for name, place in self.places.items()}
        frame.columns = [of_place[place] for place in frame.columns]
        frame, cell_notes = clean_cells(frame, self._empty, self._text, self._decimal)
        return frame, [*notes, *cell_notes]
