"""Columns of categories: one feature for each category of the training rows, 1 where a row is of it and 0 elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column, Floats
from exp.data.read_table import Cells

# The values of a cell that is none of the column's categories, and of an empty cell.
UNKNOWN, EMPTY = -1, -2


@dataclass(frozen=True)
class CategoryColumn(Column):
    """A value is an index into `categories`, UNKNOWN or EMPTY. The features of UNKNOWN and EMPTY are all 0."""

    kind: str = "category"

    @classmethod
    def from_cells(cls, name: str, cells: Cells) -> Self:
        return cls(name, categories=tuple(sorted(cells.dropna().astype(str).unique())))

    def encode(self, cells: Cells) -> Floats:
        return category_codes(cells, self.categories)

    def fit(self, values: Floats, train: NDArray[np.int64]) -> tuple[Self, Floats]:
        seen = sorted({int(code) for code in values[train]} - {UNKNOWN, EMPTY})
        codes = np.full(len(self.categories) + 2, float(UNKNOWN))  # the last two are indexed by EMPTY and UNKNOWN
        codes[EMPTY] = EMPTY
        codes[seen] = np.arange(len(seen))
        fitted = replace(self, categories=tuple(self.categories[code] for code in seen))
        return fitted, codes[values.astype(np.int64)]

    def transform(self, values: Floats) -> Floats:
        return (values[:, None] == np.arange(len(self.categories))).astype(np.float64)

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={category}" for category in self.categories)

    def is_missing(self, values: Floats) -> NDArray[np.bool_]:
        return values == EMPTY


def category_codes(cells: Cells, categories: Sequence[str]) -> Floats:
    """Return the index [N] of each cell in `categories`; UNKNOWN if it is not one of them, EMPTY if it is empty."""
    index = {category: code for code, category in enumerate(categories)}
    codes = cells.astype(str).map(index).fillna(UNKNOWN)
    return codes.where(cells.notna(), EMPTY).to_numpy(dtype=np.float64)
