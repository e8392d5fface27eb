"""A column of a table: what is known of it, and what its kind does with the cells. One file for each kind."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from exp.data.read_table import Cells

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Column(ABC):
    """A column whose cells are one float64 value each.

    `fit` learns from the training rows; then `transform` turns values [N] into the features [N, K] that a model sees.
    """

    name: str
    kind: str = ""  # each subclass has its own
    categories: tuple[str, ...] = ()
    fill: float | None = None  # replaces missing values

    is_scaled: ClassVar[bool] = False  # whether `dataset.standardize` scales the features
    cell_type: ClassVar[str] = "any text"  # what a cell holds, in words

    @classmethod
    def from_cells(cls, name: str, cells: Cells) -> Self:  # noqa: ARG003  # categories come from the cells
        """Return the column, with what `encode` needs to know of its cells."""
        return cls(name)

    @abstractmethod
    def encode(self, cells: Cells) -> Floats:
        """Return cells as values [N]. DataError if a cell does not fit the kind."""

    @abstractmethod
    def fit(self, values: Floats, train: NDArray[np.int64]) -> tuple[Self, Floats]:
        """Return the column with what its rows `train` teach, and all its values [N] encoded by that column.

        DataError if the rows teach nothing.
        """

    @abstractmethod
    def transform(self, values: Floats) -> Floats:
        """Return the features [N, K] of values [N]."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the K features."""
        return (self.name,)

    def is_missing(self, values: Floats) -> NDArray[np.bool_]:
        """Return which of the values are missing."""
        return np.isnan(values)
