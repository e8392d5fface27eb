"""Read the cells of a DataFrame as those of the CSV file that it would be saved to."""

import numpy as np

from exp.config.overrides import column_override
from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import distinguish_names, strip_name
from exp.data.reading.rounded_numbers import rounded_notes
from exp.errors import DataError, pluralize


def read_in_memory(given: Frame, where: str) -> tuple[Frame, list[str], list[str]]:
    """Return the frame with its columns numbered, their stripped names, and notes on columns that are left out.

    Raises:
        DataError: The names of the columns have several levels.
    """
    pd, notes = import_pandas(), list[str]()
    if isinstance(given.columns, pd.MultiIndex):
        what = f"{where}: the names of its columns have {given.columns.nlevels} levels"
        raise DataError(what, "df.columns = ['_'.join(map(str, name)) for name in df.columns]")
    # A file has nothing in place of a name that is None or NaN.
    names, repeated = distinguish_names(["" if pd.isna(name) is True else strip_name(str(name)) for name in given])
    notes += repeated
    columns: dict[int, Cells] = {}
    for place, name in enumerate(names):
        cells = _convert(given.iloc[:, place].reset_index(drop=True))
        if cells is None:
            kind = type(given.iloc[:, place].dropna().iloc[0]).__name__
            notes.append(f"column '{name}' holds {kind}, not numbers or words: left out")
        else:
            columns[place] = cells
        if isinstance(given.dtypes.iloc[place], pd.CategoricalDtype) and pd.api.types.is_numeric_dtype(cells):
            fix = column_override("dataset.kinds", name, "category")
            notes.append(f"column '{name}' is a category of numbers: read as numbers; for categories: {fix}")
    is_float = pd.api.types.is_float_dtype
    notes += rounded_notes(
        (names[place], columns[place]) for place in columns if not is_float(given.dtypes.iloc[place])
    )
    frame = pd.DataFrame(columns, index=range(len(given)), columns=[*columns])
    if (labels := [str(name) for name in given.index.names if name is not None]) and len(given):
        what = pluralize(len(labels), "column")
        notes.append(f"the index ({', '.join(labels)}) is no column: left out; to use it as {what}: df.reset_index()")
    return frame, names, notes


def _convert(cells: Cells) -> Cells | None:
    """Return a column of numbers, words, booleans or times; None if it holds something else."""
    pd = import_pandas()
    types, dtype = pd.api.types, cells.dtype
    if isinstance(dtype, pd.SparseDtype):
        return _convert(cells.sparse.to_dense())
    if isinstance(dtype, pd.CategoricalDtype):
        return _convert(cells.astype(dtype.categories.dtype if not cells.hasnans else object))
    if types.is_bool_dtype(dtype):
        return cells.astype(object).where(cells.notna(), None) if cells.hasnans else cells.astype(np.bool_)
    if types.is_complex_dtype(dtype):
        return None
    if types.is_numeric_dtype(dtype):
        return _numbers(cells)
    if types.is_datetime64_any_dtype(dtype):
        return cells.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(dtype, "tz", None) is not None else cells
    if types.is_timedelta64_dtype(dtype):
        return cells.dt.total_seconds()
    if isinstance(dtype, pd.PeriodDtype):
        return cells.dt.to_timestamp()
    if isinstance(dtype, pd.IntervalDtype):
        return cells.astype(str).where(cells.notna())
    words = cells.astype(object)
    return _convert_objects(words) if types.is_object_dtype(dtype) else words.where(cells.notna())


def _numbers(cells: Cells) -> Cells:
    """Return int64 or float64; a float32 counts as the decimal number that a CSV file has of it: 0.1 is 0.1."""
    types = import_pandas().api.types
    if types.is_integer_dtype(cells.dtype) and not cells.hasnans:
        is_large = types.is_unsigned_integer_dtype(cells.dtype) and len(cells) and cells.max() >= 2**63
        return cells.astype(np.float64 if is_large else np.int64)
    is_short = getattr(cells.dtype, "itemsize", 8) < 8 and types.is_float_dtype(cells.dtype)
    if not is_short:
        return import_pandas().Series(cells.to_numpy(dtype=np.float64, na_value=np.nan))
    own = "float32" if types.is_extension_array_dtype(cells.dtype) else str(cells.dtype)
    return import_pandas().Series(cells.to_numpy(dtype=own, na_value=np.nan).astype(str).astype(np.float64))


def _convert_objects(cells: Cells) -> Cells | None:
    """Return a column of Python's objects as one of its type; as words if they are of several."""
    pd = import_pandas()
    kind = pd.api.types.infer_dtype(cells, skipna=True)
    if kind in ("string", "empty"):
        return cells
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        is_gap = cells.isna()
        if kind == "integer" and not is_gap.any():
            return pd.to_numeric(cells)
        return cells.where(~is_gap, np.nan).astype(np.float64)
    if kind == "boolean":
        return cells.where(cells.notna(), None)
    if kind in ("datetime", "datetime64", "date"):
        try:
            return _convert(pd.to_datetime(cells))
        except (ValueError, OverflowError):  # years that pandas has no times for, or several zones
            return cells.map(str, na_action="ignore")
    if kind in ("timedelta", "timedelta64"):
        return pd.to_timedelta(cells).dt.total_seconds()
    if not all(map(pd.api.types.is_scalar, cells)):  # lists, arrays or other objects
        return None
    return cells.map(_spell, na_action="ignore")


def _spell(cell: object) -> str:
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
