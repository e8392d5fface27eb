"""From a table's columns to a model's features: what is learned of them from the training rows, kept with the run."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column, Floats
from exp.data.columns.category import UNKNOWN
from exp.data.columns.infer import KINDS
from exp.data.dataset import Dataset
from exp.errors import pluralize


@dataclass(frozen=True)
class Preprocessing:
    """How rows of `columns` become features, and what an output means: one of `classes`, or `values` numbers."""

    columns: tuple[Column, ...]
    mean: tuple[float, ...] | None  # of each feature, taken away; None: features are left as they are
    scale: tuple[float, ...] | None
    target: str
    classes: tuple[str, ...] | None
    values: int = 1

    @classmethod
    def fit(cls, table: Dataset, train: NDArray[np.int64], standardize: bool) -> tuple["Preprocessing", Floats]:
        """What the rows `train` teach: their categories, medians for what is missing, and numbers' mean and scale.

        And the table's x with categories numbered as they are there.
        """
        fitted = [column.fit(values, train) for column, values in zip(table.columns, table.x.T, strict=True)]
        columns, x = tuple(column for column, _ in fitted), np.stack([values for _, values in fitted], axis=1)
        outputs = table.y.shape[1] if table.classes is None else 1
        plain = cls(columns, None, None, table.target, table.classes, outputs)
        return (plain.with_scaler(plain.transform(x)[train]) if standardize else plain), x

    def with_scaler(self, features: Floats) -> "Preprocessing":
        """The same, and numbers standardised by the mean and deviation of these features [N, F]."""
        from sklearn.preprocessing import StandardScaler  # late: scikit-learn takes most of a second to import

        scaler: Any = StandardScaler().fit(features)
        is_scaled = np.array([column.is_scaled for column in self.columns for _ in column.features])
        mean, scale = np.where(is_scaled, scaler.mean_, 0.0), np.where(is_scaled, scaler.scale_, 1.0)
        return replace(self, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature for column in self.columns for feature in column.features)

    def transform(self, x: Floats) -> Floats:
        """Features [N, F] of rows [N, C], a column of x for each of `columns`. In float64, as scikit-learn computes."""
        if all(column.kind == "number" and column.fill is None for column in self.columns):
            features = x
        else:
            features = np.hstack([column.transform(values) for column, values in zip(self.columns, x.T, strict=True)])
        if self.mean is None or self.scale is None:
            return features
        return (features - np.array(self.mean)) / np.array(self.scale)

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
        columns = [column | {"categories": tuple(column["categories"])} for column in known["columns"]]
        known["columns"] = tuple(KINDS[column["kind"]](**column) for column in columns)
        for key in ("mean", "scale", "classes"):
            known[key] = None if known[key] is None else tuple(known[key])
        return cls(**known)
