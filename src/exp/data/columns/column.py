"""A column of a table: what is known of it, and what its kind does with the cells. One file for each kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from exp.data.frame import Cells, name_row
from exp.errors import pluralize

Floats = NDArray[np.float64]


class Parsed(NamedTuple):
    """A column, its cells as values [N], and notes for the user."""

    column: "Column"
    values: Floats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column(ABC):
    """A column whose cells are one float64 value each.

    `parse` reads the cells of a table; `fit` learns from the training rows; then `transform` turns values [N] into the
    features [N, K] that a model sees. `encode` reads the cells of new rows.

    Args:
        missing: What becomes of empty cells (dataset.missing): auto, median or error.
    """

    name: str
    kind: str = ""  # each subclass has its own
    missing: str = "error"

    cell_type: ClassVar[str] = "any text"  # what cells hold, for messages
    one_cell_type: ClassVar[str] = "any text"  # what one cell holds

    @classmethod
    @abstractmethod
    def parse(cls, name: str, cells: Cells, options: Mapping[str, Any]) -> Parsed | None:
        """Return the column that cells [N] make, or None if they are of another kind.

        Args:
            options: missing, max_categories, decimal, day_first, and is_declared: whether the user says that the column
                is of this kind.
        """

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `asdict` and JSON made `fields` of; fields of older versions are ignored."""
        known = {field.name for field in dataclass_fields(cls)}
        values: dict[str, Any] = {}
        for key, value in fields.items():
            if key in known:
                values[key] = tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        return cls(**values)

    @abstractmethod
    def encode(self, cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the cells of new rows as values [N], and which cells do not fit the kind; those are missing."""

    def unfit_notes(self, cells: Cells, is_unfit: NDArray[np.bool_]) -> list[str]:
        """Return notes on the cells [N] that `encode` found unfit."""
        return [unfit_note(self, cells, is_unfit)] if is_unfit.any() else []

    def notes_on(self, cells: Cells) -> list[str]:
        """Return notes on cells of new rows that `encode` reads in another way than those of the training rows."""
        del cells
        return []

    @abstractmethod
    def fit(self, values: Floats, train: NDArray[np.int64] | slice) -> tuple[Self | None, Floats]:
        """Return the column with what its rows `train` teach, and all its values [N] encoded by that column.

        The column is None if these rows have no value.
        """

    @abstractmethod
    def transform(self, values: Floats) -> Floats:
        """Return the features [N, K] of values [N]."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """The names of the K features."""

    @property
    def is_scaled(self) -> tuple[bool, ...]:
        """For each of the K features, whether `dataset.scaler` scales it."""
        return (False,) * len(self.features)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each of the K features 0 if it is a number, 1 if it is one of 0 and 1, n if it is one of 0 to n - 1."""
        return tuple(0 if is_number else 1 for is_number in self.is_scaled)

    def is_read_as_text(self, decimal: str | None) -> bool:
        """Return whether new cells must be read as they are spelled, because 1.234 may be 1234.

        Args:
            decimal: The decimal mark that the reader of their file knows.
        """
        del decimal
        return False

    def is_missing(self, values: Floats) -> NDArray[np.bool_]:
        """Return which of the values are missing."""
        return np.isnan(values)

    @property
    def replacement(self) -> str | None:
        """What stands for a missing value, in words; None if nothing does."""
        return None


def unfit_note(column: Column, cells: Cells, is_unfit: NDArray[np.bool_]) -> str:
    """Return the note on cells that do not fit the kind of their column."""
    first, count = int(np.argmax(is_unfit)), int(is_unfit.sum())
    is_not = f"is not {column.one_cell_type}" if count == 1 else f"are not {column.cell_type}"
    return (
        f"column '{column.name}': {pluralize(count, 'cell')} {is_not} and read as empty, "
        f"the first in {name_row(cells, first)}: {show_cell(cells.iloc[first])}"
    )


def show_cell(cell: object) -> str:
    """Return a cell for messages: words in quotes. The repr of a number of NumPy names its type."""
    return repr(cell) if isinstance(cell, str) else str(cell)
