"""From the columns of a dataset to the features of a model, as fitted on the training rows and kept with the run."""

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
    """How values of `columns` become features, and what the model predicts: one of `classes`, or `values` numbers."""

    columns: tuple[Column, ...]
    mean: tuple[float, ...] | None  # of each feature; None: features are not scaled
    scale: tuple[float, ...] | None
    target: str
    classes: tuple[str, ...] | None
    values: int = 1

    @classmethod
    def fit(cls, dataset: Dataset, train: NDArray[np.int64], standardize: bool) -> tuple["Preprocessing", Floats]:
        """Fit the columns, and with `standardize` the scaler, on the rows `train`.

        Returns:
            The preprocessing, and the values [N, C] of all rows of the dataset in its encoding.

        Raises:
            DataError: The training rows have no value of a column.
        """
        fitted = [column.fit(values, train) for column, values in zip(dataset.columns, dataset.x.T, strict=True)]
        columns, x = tuple(column for column, _ in fitted), np.stack([values for _, values in fitted], axis=1)
        outputs = dataset.y.shape[1] if dataset.classes is None else 1
        plain = cls(columns, None, None, dataset.target, dataset.classes, outputs)
        return (plain.with_scaler(plain.transform(x)[train]) if standardize else plain), x

    def with_scaler(self, features: Floats) -> "Preprocessing":
        """Return a copy that scales number columns by the mean and deviation of `features` [N, F]."""
        from sklearn.preprocessing import StandardScaler  # lazy: importing scikit-learn takes most of a second

        scaler: Any = StandardScaler().fit(features)
        is_scaled = np.array([column.is_scaled for column in self.columns for _ in column.features])
        mean, scale = np.where(is_scaled, scaler.mean_, 0.0), np.where(is_scaled, scaler.scale_, 1.0)
        return replace(self, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature for column in self.columns for feature in column.features)

    def transform(self, x: Floats) -> Floats:
        """Return the features [N, F] of values [N, C]. It computes in float64, like scikit-learn."""
        if all(column.kind == "number" and column.fill is None for column in self.columns):
            features = x
        else:
            features = np.hstack([column.transform(values) for column, values in zip(self.columns, x.T, strict=True)])
        if self.mean is None or self.scale is None:
            return features
        return (features - np.array(self.mean)) / np.array(self.scale)

    def unknown_notes(self, x: Floats) -> Iterator[str]:
        """Yield a note for each column with categories that the training rows do not have."""
        for column, values in zip(self.columns, x.T, strict=True):
            if column.kind == "category" and (count := int((values == UNKNOWN).sum())):
                yield f"{pluralize(count, 'row')} with a {column.name} not in the training rows: encoded as zeros"

    def to_json(self) -> str:
        """Serialize without loss. One string keeps checkpoints quick to copy, compare and write."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        fields: dict[str, Any] = json.loads(text)
        columns = [column | {"categories": tuple(column["categories"])} for column in fields["columns"]]
        fields["columns"] = tuple(KINDS[column["kind"]](**column) for column in columns)
        for key in ("mean", "scale", "classes"):
            fields[key] = None if fields[key] is None else tuple(fields[key])
        return cls(**fields)
