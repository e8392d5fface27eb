"""From a table's columns to a model's features: what is learned of them from the training rows, kept with the run."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exp.errors import pluralize

Floats = NDArray[np.float64]


# What a category's word is numbered if it is none of the column's words, and where there is no word.
UNKNOWN, EMPTY = -1, -2


@dataclass(frozen=True)
class Column:
    """One column as numbers: a number as it is, false and true as 0 and 1, a word by its place in `words`."""

    name: str
    kind: Literal["number", "boolean", "category"] = "number"
    categories: tuple[str, ...] = ()
    fill: float | None = None  # what stands for a number that is missing

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={word}" for word in self.categories) if self.kind == "category" else (self.name,)


@dataclass(frozen=True)
class Preprocessing:
    """How rows of `columns` become features, and what an output means: one of `classes`, or `values` numbers.

    A category is one-hot; a word that the training rows did not have, and a missing one, makes zeros in all its places.
    """

    columns: tuple[Column, ...]
    mean: tuple[float, ...] | None  # of each feature, taken away; None: features are left as they are
    scale: tuple[float, ...] | None
    target: str
    classes: tuple[str, ...] | None
    values: int = 1

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature for column in self.columns for feature in column.features)

    def transform(self, x: Floats) -> Floats:
        """Features [N, F] of rows [N, C], a column of x for each of `columns`. In float64, as scikit-learn computes."""
        if all(column.kind == "number" and column.fill is None for column in self.columns):
            made = x
        else:
            made = np.hstack(list(self._encoded(x)))
        if self.mean is None or self.scale is None:
            return made
        return (made - np.array(self.mean)) / np.array(self.scale)

    def _encoded(self, x: Floats) -> Iterator[Floats]:
        for column, values in zip(self.columns, x.T, strict=True):
            if column.kind == "category":
                yield (values[:, None] == np.arange(len(column.categories))).astype(np.float64)
            elif column.fill is not None:
                yield np.where(np.isnan(values), column.fill, values)[:, None]
            else:
                yield values[:, None]

    def unknown(self, x: Floats) -> Iterator[str]:
        """Of each category, for a person, how many of these rows have a word that the training rows did not have."""
        for column, values in zip(self.columns, x.T, strict=True):
            if column.kind == "category" and (count := int((values == UNKNOWN).sum())):
                yield f"{pluralize(count, 'row')} with a {column.name} that training had not: zeros stand for it"

    def to_json(self) -> str:
        """All of it as JSON, exactly: a single value, for checkpoints are copied, checked and written often."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        known: dict[str, Any] = json.loads(text)
        known["columns"] = tuple(
            Column(**(column | {"categories": tuple(column["categories"])})) for column in known["columns"]
        )
        for key in ("mean", "scale", "classes"):
            known[key] = None if known[key] is None else tuple(known[key])
        return cls(**known)
