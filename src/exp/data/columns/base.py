"""A column of a table: what is known of it, and what its kind does with the cells. One file for each kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from exp.data.read_table import Cells

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Column(ABC):
    """A column whose cells are one float64 value each.

    `fit` learns from the training rows; then `transform` turns values [N] into the features [N, K] that a model sees.

    Args:
        missing: What becomes of empty cells (dataset.missing): auto, median or error.
    """

    name: str
    kind: str = ""  # each subclass has its own
    missing: str = "error"

    cell_type: ClassVar[str] = "any text"  # what a cell holds, for messages

    @classmethod
    def from_cells(cls, name: str, cells: Cells, missing: str) -> Self:  # noqa: ARG003  # categories come from the cells
        """Return the column, with what `encode` needs to know of its cells."""
        return cls(name, missing=missing)

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
    def encode(self, cells: Cells) -> Floats:
        """Return cells as values [N]. DataError if a cell does not fit the kind."""

    @abstractmethod
    def fit(self, values: Floats, train: NDArray[np.int64]) -> tuple[Self | None, Floats]:
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
        """For each of the K features, whether `dataset.standardize` scales it."""
        return (False,) * len(self.features)

    def is_missing(self, values: Floats) -> NDArray[np.bool_]:
        """Return which of the values are missing."""
        return np.isnan(values)

    @property
    def replacement(self) -> str | None:
        """What stands for a missing value, in words; None if nothing does."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of the fitted column."""
        return ()
