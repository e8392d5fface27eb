"""Read a Parquet file."""

import importlib
from typing import Any

import numpy as np

from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import strip_name
from exp.data.reading.source import Source
from exp.errors import DataError, require_extra


def read_parquet(source: Source) -> tuple[Frame, list[str], tuple[str, ...]]:
    """Return the frame, its columns numbered; their stripped names; and notes on columns that are left out.

    Decimals, nullable numbers and durations (in seconds) become numbers, dates and times with zones UTC times.

    Raises:
        DataError: The file is damaged.
        ConfigError: pyarrow is not installed.
    """
    with require_extra("pyarrow", source.where, "parquet"):
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    notes: list[str] = []
    names: list[str] = []
    columns: list[Cells] = []
    try:
        with source.open() as stream:
            file = parquet.ParquetFile(stream)
            table = file.read()
            for name, column in zip(table.column_names, table.columns, strict=True):
                cells = _convert(column, arrow)
                if cells is None:
                    notes.append(f"column '{name}' holds {column.type}, not numbers or words: left out")
                    continue
                names.append(strip_name(name))
                columns.append(cells)
    except arrow.ArrowException as error:
        message = " ".join(str(error).split())
        raise DataError(
            f"{source.where}: not a Parquet file, or damaged: {message}", "the table saved again"
        ) from error
    pd = import_pandas()
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(table.num_rows))
    frame.columns = range(len(columns))
    return frame, names, tuple(notes)


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
