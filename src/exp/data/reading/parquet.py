"""Read some columns of a table in one or more Parquet files, or all of them."""

import importlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import strip_name
from exp.data.reading.names import check_unique
from exp.data.reading.rounded_numbers import rounded_notes
from exp.data.reading.source import Source
from exp.errors import ConfigError, DataError, require_extra


def check_header(header: str | bool | None, where: str) -> None:
    """Raise ConfigError if a table is to be read without names, which Parquet always has."""
    if header is False:
        what, fix = f"dataset.header=false: {where} has column names", "dataset.header=auto"
        raise ConfigError(what, fix, key="dataset.header", override=fix)


class ParquetParts:
    """A table in one or more Parquet files with the same columns, of which some are read at a time.

    Raises:
        DataError: A file is damaged, has other columns than the first one, or two columns of the same name.
        ConfigError: pyarrow is not installed.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        with require_extra("pyarrow", sources[0].where, "parquet"):
            self._arrow = importlib.import_module("pyarrow")
            self._parquet = importlib.import_module("pyarrow.parquet")
        self._sources = sources
        self.rows, self._bytes = 0, dict[str, int]()
        schema: Any = None
        for source in sources:
            with self._open(source) as file:
                own = file.schema_arrow
                if schema is not None and own.names != schema.names:
                    raise DataError(
                        f"{source.where}: {source.name} has other columns than {sources[0].name}",
                        "files with the same columns in the same order",
                    )
                schema = schema or own
                self.rows += file.metadata.num_rows
                for group in range(file.metadata.num_row_groups):
                    for place in range(file.metadata.num_columns):
                        chunk = file.metadata.row_group(group).column(place)
                        name = chunk.path_in_schema.partition(".")[0]
                        self._bytes[name] = self._bytes.get(name, 0) + chunk.total_uncompressed_size
        self._in_file: list[str] = list(schema.names)
        self._types = dict(zip(schema.names, schema.types, strict=True))
        self.names = [strip_name(name) for name in self._in_file]
        check_unique(self.names, sources[0].where)
        self.has_row_names, self.notes = False, ()

    def count_bytes(self, place: int) -> int:
        """Return about how many bytes a cell of the column at `place` needs in memory."""
        name, types = self._in_file[place], self._arrow.types
        kind = self._types[name]
        if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_temporal(kind):
            return 8
        return 60 + self._bytes.get(name, 0) // max(1, self.rows)

    def read(self, places: Sequence[int]) -> tuple[Frame, list[str]]:
        """Return the columns at these places, named by them, and notes on columns that are left out."""
        pd, notes = import_pandas(), list[str]()
        wanted = [self._in_file[place] for place in places]
        tables: list[Any] = []
        for source in self._sources:
            with self._open(source) as file:
                tables.append(file.read(columns=wanted).select(wanted))
        table = tables[0] if len(tables) == 1 else self._arrow.concat_tables(tables, promote_options="permissive")
        columns: dict[int, Cells] = {}
        for place, name, column in zip(places, wanted, table.columns, strict=True):
            cells = _convert(column, self._arrow)
            if cells is None:
                notes.append(f"column '{name}' holds {column.type}, not numbers or words: left out")
            else:
                columns[place] = cells
        whole = [place for place in columns if self._arrow.types.is_integer(self._types[self._in_file[place]])]
        notes += rounded_notes((self.names[place], columns[place]) for place in whole)
        frame = pd.concat([*columns.values()], axis=1) if columns else pd.DataFrame(index=range(table.num_rows))
        frame.columns = [*columns]
        return frame, notes

    @contextmanager
    def _open(self, source: Source) -> Generator[Any]:
        """Open a file. DataError if it is damaged, also while it is read."""
        try:
            with source.open() as stream:
                yield self._parquet.ParquetFile(stream)
        except self._arrow.ArrowException as error:
            message = " ".join(str(error).split())
            raise DataError(
                f"{source.where}: not a Parquet file, or damaged: {message}", "the table saved again"
            ) from error


def _convert(column: Any, arrow: Any) -> Cells | None:
    """Return a column of numbers, words, booleans or times, or None if it holds something else."""
    types, kind = arrow.types, column.type
    if types.is_dictionary(kind):
        if not (types.is_integer(kind.value_type) or types.is_floating(kind.value_type)):
            return _convert(column.cast(kind.value_type), arrow)
        return column.to_pandas()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        try:
            return column.cast(arrow.binary()).cast(arrow.string()).to_pandas()
        except arrow.ArrowException:  # bytes that are not text
            return None
    if types.is_nested(kind):
        return None
    if types.is_decimal(kind) or types.is_float16(kind):
        return column.cast(arrow.float64()).to_pandas()
    if types.is_duration(kind):
        seconds = column.cast(arrow.int64()).cast(arrow.float64(), safe=False).to_pandas()
        return seconds / {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    if types.is_date(kind):
        return column.cast(arrow.timestamp("ms")).to_pandas()
    if types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(arrow.timestamp(kind.unit)).to_pandas()  # the same instants in UTC
    if types.is_time(kind):
        return column.to_pandas().map(str, na_action="ignore")
    if types.is_null(kind):
        return import_pandas().Series(np.nan, index=range(len(column)))
    return column.to_pandas()
