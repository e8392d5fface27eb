"""From the columns of a dataset to the features of a model, as fitted on the training rows and kept with the run."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.data.columns.base import Column, Floats
from exp.data.columns.category import UNKNOWN, CategoryColumn
from exp.data.columns.infer import KINDS
from exp.data.columns.number_cells import PLAIN, Notation
from exp.data.dataset import Dataset
from exp.data.target_scale import TargetScale
from exp.errors import pluralize

# Values of features in float64 that are computed at a time.
_MAX_VALUES = 2**22

_NOTATIONS = ("target_notation", "weight_notation")


# Columns with a larger mean that are constant in the training rows are scaled by it.
_LARGE = 1e6


@dataclass(frozen=True)
class Preprocessing:
    """How values of `columns` become features, and what the model predicts: one of `classes`, or `values` numbers."""

    columns: tuple[Column, ...]
    mean: tuple[float, ...] | None  # of each feature; None: features are not scaled
    scale: tuple[float, ...] | None
    target: str
    classes: tuple[str, ...] | None
    values: int = 1
    target_scale: TargetScale | None = None  # None: targets are not scaled
    class_weights: tuple[float, ...] | None = None  # of each class in the loss
    target_notation: Notation = PLAIN  # how the training table writes a target of numbers, and the weights of its rows
    weight_notation: Notation = PLAIN

    @classmethod
    def fit(cls, dataset: Dataset, train: NDArray[np.int64], standardize: bool) -> tuple["Preprocessing", Floats]:
        """Fit the columns, and with `standardize` the scaler, on the rows `train`.

        Returns:
            The preprocessing, without columns that have no value in these rows; and the values [N, C] of all rows of
            the dataset in its encoding.
        """
        fitted = [column.fit(values, train) for column, values in zip(dataset.columns, dataset.x.T, strict=True)]
        columns = tuple(column for column, _ in fitted if column is not None)
        kept = [values for column, values in fitted if column is not None]
        x = np.stack(kept, axis=1) if kept else np.zeros((len(dataset.x), 0))
        outputs = dataset.y.shape[1] if dataset.classes is None else 1
        plain = cls(
            columns,
            None,
            None,
            dataset.target,
            dataset.classes,
            outputs,
            target_notation=dataset.target_notation,
            weight_notation=dataset.weight_notation,
        )
        return (plain.with_scaler(x[train]) if standardize else plain), x

    def with_scaler(self, x: Floats) -> "Preprocessing":
        """Return a copy that scales the features of numbers by their mean and deviation for values [N, C]."""
        from sklearn.preprocessing import StandardScaler  # lazy: importing scikit-learn takes most of a second

        is_scaled = np.array([scaled for column in self.columns for scaled in column.is_scaled], dtype=np.bool_)
        mean, scale = np.zeros(len(is_scaled)), np.ones(len(is_scaled))
        if is_scaled.any():
            # Only these columns: the features of categories could take gigabytes in float64.
            numbers = [index for index, column in enumerate(self.columns) if any(column.is_scaled)]
            part = replace(self, columns=tuple(self.columns[index] for index in numbers))
            scaled = np.array([scaled for column in part.columns for scaled in column.is_scaled])
            scaler: Any = StandardScaler().fit(part.transform(x[:, numbers])[:, scaled])
            mean[is_scaled], scale[is_scaled] = scaler.mean_, scaler.scale_
            # scikit-learn leaves constant columns as they are: other values in new rows would be as large themselves.
            is_constant = (scaler.scale_ == 1) & (scaler.var_ != 1) & (np.abs(scaler.mean_) > _LARGE)
            scale[is_scaled] = np.where(is_constant, np.abs(scaler.mean_), scaler.scale_)
        return replace(self, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature for column in self.columns for feature in column.features)

    def text_columns(self, weight: str | None) -> list[str]:
        """Return the columns of new tables to read as they are spelled, because 1.234 may be 1234.

        Args:
            weight: The column with the weights of the rows, dataset.weight.
        """
        names = [column.name for column in self.columns if column.is_read_as_text]
        names += [self.target] * (self.target_notation != PLAIN)
        return names if weight is None or self.weight_notation == PLAIN else [*names, weight]

    def transform(self, x: Floats) -> Floats:
        """Return the features [N, F] of values [N, C]. It computes in float64, like scikit-learn."""
        if all(column.kind == "number" and column.missing == "error" for column in self.columns):
            features = x
        else:
            features = np.hstack([column.transform(values) for column, values in zip(self.columns, x.T, strict=True)])
        if self.mean is None or self.scale is None:
            return features
        return (features - np.array(self.mean)) / np.array(self.scale)

    def to_tensor(self, x: Floats) -> Tensor:
        """Return the features, float32 [N, F], of values [N, C]; in float64 only a part at a time."""
        features = torch.empty(len(x), len(self.features))
        step = max(1, _MAX_VALUES // max(1, features.shape[1]))
        for start in range(0, len(x), step):
            part = torch.from_numpy(self.transform(x[start : start + step]))
            features[start : start + len(part)] = part
        return features

    def encode_targets(self, y: NDArray[Any]) -> Tensor:
        """Return class numbers [N] as they are, or values [N, K], scaled in float64, as float32."""
        if self.classes is not None:
            return torch.from_numpy(y)
        return torch.from_numpy(y if self.target_scale is None else self.target_scale.transform(y)).float()

    def unknown_notes(self, x: Floats) -> Iterator[str]:
        """Yield notes on the columns with categories in values [N, C] that no training row has."""
        unknown: dict[bool, list[str]] = {True: [], False: []}
        for column, values in zip(self.columns, x.T, strict=True):
            if isinstance(column, CategoryColumn) and (count := int((values == UNKNOWN).sum())):
                unknown[bool(column.rare)].append(f"{column.name} in {pluralize(count, 'row')}")
        if unknown[False]:
            yield f"categories that are not in the training rows, encoded as zeros: {', '.join(unknown[False])}"
        if unknown[True]:
            yield f"rare and unknown categories, encoded as (rare): {', '.join(unknown[True])}"

    def to_json(self) -> str:
        """Serialize without loss. One string keeps checkpoints quick to copy, compare and write."""
        fields = asdict(self)
        for key in _NOTATIONS:
            if getattr(self, key) == PLAIN:  # what older versions wrote stays as it was
                del fields[key]
        for column in fields["columns"]:
            if not column.get("is_spelled", True):
                del column["is_spelled"]
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        fields: dict[str, Any] = json.loads(text)
        fields["columns"] = tuple(KINDS[column["kind"]].from_json(column) for column in fields["columns"])
        for key in ("mean", "scale", "classes"):
            fields[key] = None if fields[key] is None else tuple(fields[key])
        if (target := fields.get("target_scale")) is not None:  # older checkpoints do not have the key
            fields["target_scale"] = TargetScale(tuple(target["mean"]), tuple(target["scale"]), target["log"])
        if (weights := fields.get("class_weights")) is not None:
            fields["class_weights"] = tuple(weights)
        for key in _NOTATIONS:
            fields[key] = Notation(**fields.get(key, {}))
        return cls(**fields)
