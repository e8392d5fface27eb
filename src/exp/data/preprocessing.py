"""From the columns of a dataset to the features of a model, as fitted on the training rows and kept with the run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.config.target_kind import TargetKind
from exp.data.columns.category import UNKNOWN, CategoryColumn
from exp.data.columns.column import Column, Floats
from exp.data.columns.fit import fit_column
from exp.data.columns.infer import KINDS
from exp.data.columns.number_cells import PLAIN, Notation, declared_notation
from exp.data.dataset import Dataset, TargetColumn, name_targets
from exp.data.row_shape import from_channels, to_channels
from exp.data.scalers.registry import SCALERS
from exp.data.scalers.scaler import Scaler
from exp.data.target_scale import TargetScale
from exp.errors import pluralize

# Values of features in float64 that are computed at a time.
_MAX_VALUES = 2**22

_NOTATIONS = ("target_notation", "weight_notation")

# Fields that older versions did not write, left out of the JSON if they are false: what is unchanged keeps its text.
_NEWER = ("targets", "has_labels", "shape", "is_spelled", "codes_above", "is_code")


@dataclass(frozen=True)
class Preprocessing:
    """How values of `columns` become features, and what the model predicts: a class, or `values` numbers or labels."""

    columns: tuple[Column, ...]
    scaler: Scaler | None  # of the features of numbers; None: they are not scaled
    target: str
    classes: tuple[str, ...] | None
    values: int = 1
    target_scale: TargetScale | None = None  # None: targets are not scaled
    class_weights: tuple[float, ...] | None = None  # of each class in the loss
    target_notation: Notation = PLAIN  # how the training table writes a target of numbers, and the weights of its rows
    weight_notation: Notation = PLAIN
    targets: tuple[TargetColumn, ...] = ()  # each of several target columns
    has_labels: bool = False  # each of the values is 0 or 1
    shape: tuple[int, ...] = ()  # of a row that is a sequence or an image; the scaler is then of its channels

    @classmethod
    def fit(
        cls, dataset: Dataset, train: NDArray[np.int64], scaler: str, codes_above: int | None = None
    ) -> tuple["Preprocessing", Floats]:
        """Fit the columns and the scaler, a value of dataset.scaler, on the rows `train`.

        Args:
            codes_above: The number of categories above which a column has one feature, for an embedding; None: never.

        Returns:
            The preprocessing, without columns that have no value in these rows; and the values [N, C] of all rows of
            the dataset in its encoding.
        """
        fitted = [
            fit_column(column, values, train, codes_above)
            for column, values in zip(dataset.columns, dataset.x.T, strict=True)
        ]
        kept = [values for column, values in fitted if column is not None]
        x = np.stack(kept, axis=1) if kept else np.zeros((len(dataset.x), 0))
        plain = cls.of_columns(dataset, [column for column, _ in fitted if column is not None])
        return (plain if scaler == "none" else plain.with_scaler(scaler, x[train])), x

    @classmethod
    def of_columns(cls, dataset: Dataset, columns: Sequence[Column]) -> "Preprocessing":
        """Return the preprocessing of fitted columns, without a scaler."""
        return cls(
            tuple(columns),
            None,
            dataset.target,
            dataset.classes,
            dataset.y.shape[1] if dataset.classes is None else 1,
            target_notation=dataset.target_notation,
            weight_notation=dataset.weight_notation,
            targets=dataset.targets,
            has_labels=dataset.has_labels,
            shape=dataset.shape,
        )

    def with_scaler(self, kind: str, x: Floats) -> "Preprocessing":
        """Return a copy that scales the features of numbers by values [N, C] of the training rows.

        Args:
            kind: A value of dataset.scaler.
        """
        # Only these columns: the features of categories could take gigabytes in float64.
        numbers = [index for index, column in enumerate(self.columns) if any(column.is_scaled)]
        if not numbers:
            return self
        part = replace(self, columns=tuple(self.columns[index] for index in numbers))
        return replace(
            self, scaler=SCALERS[kind].fit(to_channels(part.transform(x[:, numbers])[:, part.is_scaled], self.shape))
        )

    @cached_property
    def is_scaled(self) -> NDArray[np.bool_]:
        """Which of the features [F] the scaler scales."""
        return np.array([scaled for column in self.columns for scaled in column.is_scaled], dtype=np.bool_)

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each of the features [F] 0 if it is a number, 1 if it is one of 0 and 1, n if it is one of 0 to n - 1."""
        return tuple(number for column in self.columns for number in column.cardinalities)

    @property
    def target_columns(self) -> tuple[TargetColumn, ...]:
        """The target columns of a table."""
        return self.targets or (TargetColumn(self.target, self.target_notation),)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The name of each of the K values that the model predicts; those of arrays without names have numbers."""
        return name_targets(self.target_columns, self.values)

    @property
    def target_kind(self) -> TargetKind:
        """What the model predicts."""
        if self.classes is not None:
            return TargetKind("classes", self.classes)
        return TargetKind("labels" if self.has_labels else "numbers", self.target_names)

    @property
    def column_numbers(self) -> tuple[int, ...]:
        """For each of the features [F]: the number of its column."""
        return tuple(number for number, column in enumerate(self.columns) for _ in column.features)

    def text_columns(self, weight: str | None, decimal: str | None = ".") -> list[str]:
        """Return the columns of new tables to read as they are spelled, because 1.234 may be 1234.

        They are read with dataset.decimal; the weights of the rows are in the column dataset.weight.
        """
        known = (PLAIN, declared_notation(decimal))
        names = [one.name for one in self.columns if one.is_read_as_text(decimal)]
        names += [one.name for one in self.target_columns if one.notation not in known]
        return names if weight is None or self.weight_notation in known else [*names, weight]

    def transform(self, x: Floats) -> Floats:
        """Return the features [N, F] of values [N, C]. It computes in float64, like scikit-learn."""
        if all(column.kind == "number" and column.missing == "error" for column in self.columns):
            features = x
        else:
            features = np.hstack([column.transform(values) for column, values in zip(self.columns, x.T, strict=True)])
        if self.scaler is None:
            return features
        if self.is_scaled.all():
            return from_channels(self.scaler.transform(to_channels(features, self.shape)), self.shape)
        features[:, self.is_scaled] = self.scaler.transform(features[:, self.is_scaled])
        return features

    def restore(self, features: Floats) -> Floats:
        """Return features [N, F] with those of numbers in their own units, up to rounding."""
        if self.scaler is None:
            return features
        if self.shape:
            return from_channels(self.scaler.restore(to_channels(features, self.shape)), self.shape)
        restored = features.copy()
        restored[:, self.is_scaled] = self.scaler.restore(features[:, self.is_scaled])
        return restored

    def to_tensor(self, x: Floats) -> Tensor:
        """Return the features, float32 [N, F], of values [N, C]; in float64 only a part at a time."""
        features = torch.empty(len(x), len(self.features))
        step = max(1, _MAX_VALUES // max(1, features.shape[1]))
        for start in range(0, len(x), step):
            part = torch.from_numpy(self.transform(x[start : start + step]))
            features[start : start + len(part)] = part
        return features

    def targets_to_tensor(self, y: NDArray[Any]) -> Tensor:
        """Return class numbers [N] as they are, or values or labels [N, K], scaled in float64, as float32."""
        if self.classes is not None:
            return torch.from_numpy(y)
        return torch.from_numpy(y if self.target_scale is None else self.target_scale.transform(y)).float()

    def count_unknown(self, x: Floats) -> dict[str, int]:
        """Return how many of the values [N, C] are categories that no training row has, by column."""
        columns = zip(self.columns, x.T, strict=True)
        return {one.name: int((values == UNKNOWN).sum()) for one, values in columns if isinstance(one, CategoryColumn)}

    def describe_unknown(self, counts: Mapping[str, int]) -> Iterator[str]:
        """Yield notes on the columns with categories that no training row has, by what `count_unknown` returned."""
        unknown: dict[bool, list[str]] = {True: [], False: []}
        for column in self.columns:
            if isinstance(column, CategoryColumn) and (count := counts.get(column.name)):
                unknown[bool(column.rare)].append(f"{column.name} in {pluralize(count, 'row')}")
        if unknown[False]:
            yield f"categories that are not in the training rows, encoded as zeros: {', '.join(unknown[False])}"
        if unknown[True]:
            yield f"rare and unknown categories, encoded as (rare): {', '.join(unknown[True])}"

    def to_json(self) -> str:
        """Serialize without loss. One string keeps checkpoints quick to copy, compare and write."""
        content = _as_dict(self)
        if self.scaler is not None:
            content["scaler"] = {**_as_dict(self.scaler), "kind": self.scaler.kind}
        for key in _NOTATIONS:
            if getattr(self, key) == PLAIN:  # what older versions wrote stays as it was
                del content[key]
        return json.dumps(content, default=_as_dict)

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        content: dict[str, Any] = json.loads(text)
        content["columns"] = tuple(KINDS[column["kind"]].from_json(column) for column in content["columns"])
        content["classes"] = None if content["classes"] is None else tuple(content["classes"])
        mean, scale = content.pop("mean", None), content.pop("scale", None)
        if mean is not None:  # older checkpoints have these two numbers for every feature
            is_scaled = np.array([scaled for column in content["columns"] for scaled in column.is_scaled])
            old = {"mean": np.array(mean)[is_scaled].tolist(), "scale": np.array(scale)[is_scaled].tolist()}
            content["scaler"] = {"kind": "standard", **old}
        if (scaler := content.get("scaler")) is not None:
            content["scaler"] = SCALERS[str(scaler["kind"])].from_json(scaler)
        content.setdefault("scaler", None)
        if (target := content.get("target_scale")) is not None:  # older checkpoints do not have the key
            content["target_scale"] = TargetScale(tuple(target["mean"]), tuple(target["scale"]), target["log"])
        if (weights := content.get("class_weights")) is not None:
            content["class_weights"] = tuple(weights)
        for key in _NOTATIONS:
            content[key] = Notation(**content.get(key, {}))
        content["shape"] = tuple(content.get("shape", ()))
        content["targets"] = tuple(
            TargetColumn(target["name"], Notation(**target["notation"])) for target in content.get("targets", ())
        )
        return cls(**content)


def _as_dict(value: Any) -> Any:
    """Return the fields of a dataclass, without those that older versions did not write, if they are false."""
    values = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: one for name, one in values.items() if one or name not in _NEWER}
