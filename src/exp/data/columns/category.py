"""Columns of categories: one feature for each frequent category of the training rows, 1 where a row is of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column, Floats, Parsed
from exp.data.columns.labels import as_labels
from exp.data.read_table import Cells

# The values of a cell that is none of the column's categories, and of an empty cell.
UNKNOWN, EMPTY = -1, -2


@dataclass(frozen=True)
class CategoryColumn(Column):
    """A value is an index into `categories`, UNKNOWN or EMPTY.

    Categories beyond the `max_categories` most frequent ones of the training rows share one feature, which unknown
    categories of new rows have too. Empty cells have a feature if the training rows have some (missing=auto). Without
    these features, unknown and empty cells are 0 in all features.
    """

    kind: str = "category"
    categories: tuple[str, ...] = ()
    max_categories: int | None = None
    rare: int = 0  # how many categories share a feature
    has_missing: bool = False

    @classmethod
    def parse(cls, name: str, cells: Cells, options: Mapping[str, Any]) -> Parsed | None:
        categories = tuple(sorted(as_labels(cells).dropna().unique()))
        column = cls(name, missing=options["missing"], categories=categories, max_categories=options["max_categories"])
        return Parsed(column, category_codes(cells, categories))

    def encode(self, cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
        codes = category_codes(cells, self.categories)
        return codes, np.zeros(len(codes), dtype=np.bool_)

    def fit(self, values: Floats, train: NDArray[np.int64]) -> tuple[Self | None, Floats]:
        codes = values[train].astype(np.int64)
        present, counts = np.unique(codes[codes >= 0], return_counts=True)
        has_missing = self.missing == "auto" and bool((codes == EMPTY).any())
        if not len(present):
            return None, values
        by_count = present[np.argsort(-counts, kind="stable")]
        kept = np.sort(by_count[: self.max_categories])
        encoding = np.full(len(self.categories) + 2, float(UNKNOWN))  # the last two are indexed by EMPTY and UNKNOWN
        encoding[EMPTY] = EMPTY
        encoding[kept] = np.arange(len(kept))
        fitted = replace(
            self,
            categories=tuple(self.categories[int(code)] for code in kept),
            rare=len(present) - len(kept),
            has_missing=has_missing,
        )
        return fitted, encoding[values.astype(np.int64)]

    def transform(self, values: Floats) -> Floats:
        codes = [float(code) for code in range(len(self.categories))]
        codes += [UNKNOWN] * bool(self.rare) + [EMPTY] * self.has_missing
        return (values[:, None] == np.array(codes)).astype(np.float64)

    @property
    def features(self) -> tuple[str, ...]:
        names = [f"{self.name}={category}" for category in self.categories]
        names += [f"{self.name}=(rare)"] * bool(self.rare) + [f"{self.name}=(missing)"] * self.has_missing
        return tuple(names)

    @property
    def is_read_as_text(self) -> bool:
        return True

    def is_missing(self, values: Floats) -> NDArray[np.bool_]:
        return values == EMPTY

    @property
    def replacement(self) -> str:
        return "a category of its own" if self.has_missing else "encoded as zeros"


def category_codes(cells: Cells, categories: Sequence[str]) -> Floats:
    """Return the index [N] of each cell in `categories`; UNKNOWN if it is not one of them, EMPTY if it is empty."""
    index = {category: code for code, category in enumerate(categories)}
    codes = as_labels(cells).map(index).fillna(UNKNOWN)
    return codes.where(cells.notna(), EMPTY).to_numpy(dtype=np.float64)
