"""dataset.scaler=standard: mean 0 and deviation 1 in the training rows, as scikit-learn's StandardScaler."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from exp.data.columns.column import Floats
from exp.data.scalers.scaler import Scaler

# Features with a larger mean that are constant in the training rows are scaled by it.
_LARGE = 1e6


@dataclass(frozen=True)
class StandardScaler(Scaler):
    """(x - mean) / scale."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    kind: ClassVar[str] = "standard"
    described: ClassVar[str] = "standardised by the training rows"

    @classmethod
    def fit(cls, x: Floats) -> Self:
        from sklearn.preprocessing import StandardScaler as Fitted  # lazy: takes most of a second

        fitted: Any = Fitted().fit(x)
        # scikit-learn leaves constant features as they are: other values in new rows would be as large themselves.
        is_constant = (fitted.scale_ == 1) & (fitted.var_ != 1) & (np.abs(fitted.mean_) > _LARGE)
        scale = np.array(fitted.scale_)
        scale[is_constant] = np.abs(fitted.mean_[is_constant])
        return cls(tuple(fitted.mean_.tolist()), tuple(scale.tolist()))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(tuple(fields["mean"]), tuple(fields["scale"]))

    def transform(self, x: Floats) -> Floats:
        return (x - np.array(self.mean)) / np.array(self.scale)

    def restore(self, z: Floats) -> Floats:
        scale = np.array(self.scale)
        x = z * scale + np.array(self.mean)
        return np.where(np.abs(x) < 1e-6 * scale, 0.0, x)  # zero, up to the rounding of float32
