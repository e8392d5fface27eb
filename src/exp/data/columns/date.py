"""Columns of dates, as days since 1970, and of times of day. A model sees the parts of a date, such as the month."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import column_override
from exp.data.columns.column import Column, Floats, Parsed, unfit_note
from exp.data.columns.parse_dates import find_compact_day, parse_dates, parse_mostly_dates, read_dates
from exp.data.frame import Cells, import_pandas

# The parts of a date, in the order of the features.
_PARTS = ("days", "year", "month", "day of week", "hour")


@dataclass(frozen=True)
class DateColumn(Column):
    """A value is days since 1970-01-01 in UTC, or the fraction of a day if all cells are times of day.

    Args:
        format: How the dates are written.
        parts: The parts of a date that are features: those that differ among the training rows.
        first: The earliest training row, from which days are counted.
        fill: Replaces missing values, the training median; None: a row without a value has no features.
        has_indicator: Whether the last feature is 1 where a value is missing.
    """

    kind: str = "date"
    format: str = ""
    parts: tuple[str, ...] = ()
    first: float = 0.0
    fill: float | None = None
    has_indicator: bool = False

    cell_type: ClassVar[str] = "dates"
    one_cell_type: ClassVar[str] = "a date"

    @classmethod
    def parse(cls, name: str, cells: Cells, options: Mapping[str, Any]) -> Parsed | None:
        """Return dates, also if few of the cells are something else: these are missing, with a note."""
        compact = None if options["is_declared"] else find_compact_day(cells)
        has_digits_only = options["is_declared"] or compact is not None
        parsed, is_odd = parse_dates(name, cells, options["day_first"], has_digits_only), None
        types = import_pandas().api.types
        if parsed is None and not types.is_numeric_dtype(cells.dtype):  # True and False are numeric too
            parsed, is_odd = parse_mostly_dates(name, cells, options["day_first"]) or (None, None)
        if parsed is None:
            return None
        column, notes = cls(name, missing=options["missing"], format=parsed.format), parsed.notes
        if compact is not None:
            fix = column_override("dataset.kinds", name, "number")
            notes += (f"column '{name}': {compact} is read as year, month and day; for numbers: {fix}",)
        if is_odd is not None:
            fix = column_override("dataset.kinds", name, "category")
            notes += (f"{unfit_note(column, cells, is_odd)}; for words: {fix}",)
        return Parsed(column, parsed.values, notes)

    def encode(self, cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
        return read_dates(cells, self.format)

    def fit(self, values: Floats, train: NDArray[np.int64] | slice) -> tuple[Self | None, Floats]:
        known = values[train][~np.isnan(values[train])]
        if not len(known):
            return None, values
        differing = [part for part in _PARTS if len(np.unique(_part(part, known, 0.0))) > 1]
        fitted = replace(
            self,
            parts=tuple(differing or _PARTS[:1]),
            first=float(known.min()),
            fill=float(np.median(known)) if self.missing != "error" else None,
            has_indicator=self.missing == "auto" and len(known) < len(values[train]),
        )
        return fitted, values

    def transform(self, values: Floats) -> Floats:
        is_missing = np.isnan(values)
        filled = values if self.fill is None else np.where(is_missing, self.fill, values)
        features = [_part(part, filled, self.first) for part in self.parts]
        return np.stack([*features, is_missing] if self.has_indicator else features, axis=1)

    @property
    def features(self) -> tuple[str, ...]:
        names = [f"{self.name} {part}" for part in self.parts]
        return (*names, f"{self.name}=(missing)") if self.has_indicator else tuple(names)

    @property
    def is_scaled(self) -> tuple[bool, ...]:
        return (True,) * len(self.parts) + (False,) * self.has_indicator

    @property
    def replacement(self) -> str | None:
        return None if self.fill is None else "replaced by the median"


def _part(part: str, values: Floats, first: float) -> Floats:
    """Return a part of dates [N]; NaN where a date is missing."""
    if part == "days":
        return values - first
    if part == "hour":
        return np.floor(np.round((values - np.floor(values)) * 86_400) / 3600)
    if part == "day of week":
        return np.mod(np.floor(values) + 3, 7)  # 1970-01-01 was a Thursday, 3
    is_missing = np.isnan(values)
    days = np.where(is_missing, 0, np.floor(values)).astype(np.int64).astype("datetime64[D]")
    months = days.astype("datetime64[M]").astype(np.int64)
    numbers = months // 12 + 1970 if part == "year" else months % 12 + 1
    return np.where(is_missing, np.nan, numbers.astype(np.float64))
