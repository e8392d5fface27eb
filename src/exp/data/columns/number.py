"""Columns of numbers, and of booleans as 0 and 1. Missing values are NaN, and filled with the training median."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import column_override
from exp.data.columns.column import Column, Floats, Parsed, unfit_note
from exp.data.columns.number_cells import PLAIN, Notation, declared_notation
from exp.data.columns.parse_booleans import parse_booleans, read_booleans
from exp.data.columns.parse_numbers import other_notation_notes, parse_mostly_numbers, read_numbers
from exp.data.frame import Cells, import_pandas, name_row
from exp.errors import pluralize

# Larger numbers are read as infinite ones: the variance of a column would be infinite in float64.
LARGEST = 1e100


@dataclass(frozen=True)
class NumberColumn(Column):
    """A column of numbers.

    Args:
        fill: Replaces missing values; None: a row without a value has no features.
        has_indicator: Whether a second feature is 1 where a value is missing.
        notation: How the numbers are written.
    """

    kind: str = "number"
    fill: float | None = None
    has_indicator: bool = False
    notation: Notation = field(default=PLAIN)

    cell_type: ClassVar[str] = "numbers"
    one_cell_type: ClassVar[str] = "a number"

    @classmethod
    def parse(cls, name: str, cells: Cells, options: Mapping[str, Any]) -> Parsed | None:
        """Return numbers, also if fewer than half of the cells are something else: these are missing, with a note."""
        types = import_pandas().api.types
        if types.is_numeric_dtype(cells):
            values, notes = mask_infinite(f"column '{name}'", cells, cells.to_numpy(np.float64, na_value=np.nan))
            notation = declared_notation(options["decimal"])
            return Parsed(cls(name, missing=options["missing"], notation=notation), values, notes)
        if types.is_datetime64_any_dtype(cells):
            return None
        may_be_codes = not options["is_declared"]
        parsed = parse_mostly_numbers(name, cells.astype(object), options["decimal"], may_be_codes=may_be_codes)
        if parsed is None:
            return None
        numbers, is_odd = parsed
        column = cls(name, missing=options["missing"], notation=numbers.notation)
        notes = numbers.notes
        if is_odd.any():
            fix = column_override("dataset.kinds", name, "category")
            notes += (f"{unfit_note(column, cells, is_odd)}; for words: {fix}",)
        values, more = mask_infinite(f"column '{name}'", cells, numbers.values)
        return Parsed(column, values, notes + more)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        column = super().from_json(fields)
        return replace(column, notation=Notation(**fields["notation"])) if "notation" in fields else column

    def encode(self, cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
        values, is_unfit = read_numbers(cells, self.notation)
        is_unfit |= np.abs(values) > LARGEST
        return np.where(is_unfit, np.nan, values), is_unfit

    def unfit_notes(self, cells: Cells, is_unfit: NDArray[np.bool_]) -> list[str]:
        values, _ = read_numbers(cells, self.notation)
        words = super().unfit_notes(cells, is_unfit & np.isnan(values))
        return [*words, *mask_infinite(f"column '{self.name}'", cells, values)[1]]

    def notes_on(self, cells: Cells) -> list[str]:
        return other_notation_notes(self.name, cells, self.notation)

    def fit(self, values: Floats, train: NDArray[np.int64] | slice) -> tuple[Self | None, Floats]:
        if self.missing == "error":
            return self, values
        is_missing = np.isnan(values[train])
        if is_missing.all():
            return None, values
        has_indicator = self.missing == "auto" and bool(is_missing.any())
        return replace(self, fill=float(np.nanmedian(values[train])), has_indicator=has_indicator), values

    def transform(self, values: Floats) -> Floats:
        is_missing = np.isnan(values)
        filled = values if self.fill is None else np.where(is_missing, self.fill, values)
        return np.stack([filled, is_missing], axis=1) if self.has_indicator else filled[:, None]

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}=(missing)") if self.has_indicator else (self.name,)

    @property
    def is_scaled(self) -> tuple[bool, ...]:
        return (True, False) if self.has_indicator else (True,)

    def is_read_as_text(self, decimal: str | None) -> bool:
        return self.notation not in (PLAIN, declared_notation(decimal))

    @property
    def replacement(self) -> str | None:
        return None if self.fill is None else f"replaced by {self.fill:g}"


@dataclass(frozen=True)
class BooleanColumn(NumberColumn):
    kind: str = "boolean"
    cell_type: ClassVar[str] = "true or false"
    one_cell_type: ClassVar[str] = "true or false"

    @classmethod
    def parse(cls, name: str, cells: Cells, options: Mapping[str, Any]) -> Parsed | None:
        column = cls(name, missing=options["missing"])
        types = import_pandas().api.types
        if types.is_bool_dtype(cells.dropna().infer_objects()):
            return Parsed(column, cells.astype("boolean").to_numpy(np.float64, na_value=np.nan))
        if types.is_numeric_dtype(cells):  # 1 and 0 are numbers, unless the user says otherwise
            values = cells.to_numpy(np.float64, na_value=np.nan)
            is_boolean = options["is_declared"] and bool(cells.dropna().isin((0, 1)).all())
            return Parsed(column, values) if is_boolean else None
        parsed = parse_booleans(name, cells)
        return None if parsed is None else Parsed(column, parsed.values, parsed.notes)

    def encode(self, cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
        return read_booleans(cells)

    def unfit_notes(self, cells: Cells, is_unfit: NDArray[np.bool_]) -> list[str]:
        return Column.unfit_notes(self, cells, is_unfit)

    def notes_on(self, cells: Cells) -> list[str]:
        del cells
        return []

    @property
    def is_scaled(self) -> tuple[bool, ...]:
        return (False,) * len(self.features)


def mask_infinite(what: str, cells: Cells, values: Floats) -> tuple[Floats, tuple[str, ...]]:
    """Return values [N] with NaN for those that are infinite or too large, and a note on them.

    Args:
        what: The column, for the note.
        cells: The cells that the values were read from.
    """
    is_infinite = np.abs(values) > LARGEST
    if not is_infinite.any():
        return values, ()
    first, count = int(np.argmax(is_infinite)), int(is_infinite.sum())
    note = (
        f"{what}: {pluralize(count, 'cell')} {'is' if count == 1 else 'are'} infinite or beyond {LARGEST:g} and read "
        f"as empty, the first in {name_row(cells, first)}: {cells.iloc[first]}"
    )
    return np.where(is_infinite, np.nan, values), (note,)
