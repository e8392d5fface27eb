"""Columns of categories: one feature for each frequent category of the training rows, or one with its number."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Column, Floats, Parsed
from exp.data.columns.labels import as_labels, number_label
from exp.data.read_table import Cells, import_pandas

# The values of a cell that is none of the column's categories, and of an empty cell.
UNKNOWN, EMPTY = -1, -2
# max_categories=auto: the most frequent categories, and the others that enough training rows have to learn from, up to
# a limit of features. In a table of countries by year, each of 200 countries has as many rows as the most frequent one.
MOST_FREQUENT, ENOUGH_ROWS, AUTO_LIMIT = 50, 3, 500


@dataclass(frozen=True)
class CategoryColumn(Column):
    """A value is an index into `categories`, UNKNOWN or EMPTY.

    Categories beyond the `max_categories` most frequent ones of the training rows share one feature, which unknown
    categories of new rows have too; auto: beyond the MOST_FREQUENT ones and those that ENOUGH_ROWS have. Empty cells
    have a feature if the training rows have some (missing=auto). Without these features, unknown and empty cells are 0
    in all features.

    A column with more than `codes_above` categories has one feature instead, for a model with an embedding: the number
    of the category, whatever `max_categories` is. The numbers after the categories are that of empty cells, if the
    training rows have some, and that of unknown ones.

    Args:
        is_code: Whether the column has this one feature.
        is_spelled: Whether a category is a number in an unusual spelling, such as 1.10 or 01. If so, the spelling of
            new cells matters.
    """

    kind: str = "category"
    categories: tuple[str, ...] = ()
    max_categories: int | str | None = None  # or auto
    rare: int = 0  # how many categories share a feature
    has_missing: bool = False
    is_spelled: bool = False
    codes_above: int | None = None  # None: no column has one feature
    is_code: bool = False

    @classmethod
    def parse(cls, name: str, cells: Cells, options: Mapping[str, Any]) -> Parsed | None:
        categories = tuple(sorted(as_labels(cells).dropna().unique()))
        column = cls(
            name,
            missing=options["missing"],
            categories=categories,
            max_categories=options["max_categories"],
            is_spelled=any(number_label(category) not in (None, category) for category in categories),
        )
        return Parsed(column, category_codes(cells, categories))

    def encode(self, cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
        has_spelling = not import_pandas().api.types.is_numeric_dtype(cells)
        codes = category_codes(cells, self.categories, by_value=not (self.is_spelled and has_spelling))
        return codes, np.zeros(len(codes), dtype=np.bool_)

    def fit(self, values: Floats, train: NDArray[np.int64] | slice) -> tuple[Self | None, Floats]:
        codes = values[train].astype(np.int64)
        present, counts = np.unique(codes[codes >= 0], return_counts=True)
        has_missing = self.missing == "auto" and bool((codes == EMPTY).any())
        if not len(present):
            return None, values
        by_count = present[np.argsort(-counts, kind="stable")]
        is_code = self.codes_above is not None and len(present) > self.codes_above
        kept = present if is_code else np.sort(by_count[: self._limit(counts)])
        encoding = np.full(len(self.categories) + 2, float(UNKNOWN))  # the last two are indexed by EMPTY and UNKNOWN
        encoding[EMPTY] = EMPTY
        encoding[kept] = np.arange(len(kept))
        fitted = replace(
            self,
            categories=tuple(self.categories[int(code)] for code in kept),
            rare=len(present) - len(kept),
            has_missing=has_missing,
            is_code=is_code,
        )
        return fitted, encoding[values.astype(np.int64)]

    def transform(self, values: Floats) -> Floats:
        if self.is_code:
            empty, unknown = self._cardinality - 2 if self.has_missing else self._cardinality - 1, self._cardinality - 1
            return np.select([values == EMPTY, values == UNKNOWN], [empty, unknown], values)[:, None]
        codes = [float(code) for code in range(len(self.categories))]
        codes += [UNKNOWN] * bool(self.rare) + [EMPTY] * self.has_missing
        return (values[:, None] == np.array(codes)).astype(np.float64)

    def _limit(self, counts: NDArray[np.int64]) -> int | None:
        """Return how many categories have a feature of their own; None: all of them, of which `counts` are the rows."""
        if self.max_categories != "auto":
            return None if self.max_categories is None else int(self.max_categories)
        return max(MOST_FREQUENT, min(int((counts >= ENOUGH_ROWS).sum()), AUTO_LIMIT))

    @property
    def features(self) -> tuple[str, ...]:
        if self.is_code:
            return (self.name,)
        names = [f"{self.name}={category}" for category in self.categories]
        names += [f"{self.name}=(rare)"] * bool(self.rare) + [f"{self.name}=(missing)"] * self.has_missing
        return tuple(names)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return (self._cardinality,) if self.is_code else super().cardinalities

    @property
    def _cardinality(self) -> int:
        return len(self.categories) + self.has_missing + 1

    def is_read_as_text(self, decimal: str | None) -> bool:
        del decimal
        return True

    def is_missing(self, values: Floats) -> NDArray[np.bool_]:
        return values == EMPTY

    @property
    def replacement(self) -> str:
        return "a category of its own" if self.has_missing else "encoded as zeros"


def category_codes(cells: Cells, categories: Sequence[str], by_value: bool = False) -> Floats:
    """Return the index [N] of each cell in `categories`; UNKNOWN if it is not one of them, EMPTY if it is empty.

    Args:
        by_value: Whether a number that no category equals as text is the only category of the same value.
    """
    index = {category: code for code, category in enumerate(categories)}
    labels = as_labels(cells)
    if by_value:
        numbers = [number_label(category) for category in categories]
        counts = Counter(numbers)
        code_of = {number: code for code, number in enumerate(numbers) if number is not None and counts[number] == 1}
        for label in labels.dropna().unique():
            if label not in index and (number := number_label(label)) in code_of:
                index[label] = code_of[number]
    codes = labels.map(index).fillna(UNKNOWN)
    return codes.where(cells.notna(), EMPTY).to_numpy(dtype=np.float64)
