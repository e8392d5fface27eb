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
    """(x - mean) / scale.

    `scale` is 1 for a feature that is constant in the training rows, so it is 0 there and x - mean in other rows. That
    is linear, however far they are: before training, a note names what is far from the training rows.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    kind: ClassVar[str] = "standard"
    described: ClassVar[str] = "standardised by the training rows"

    @classmethod
    def fit(cls, x: Floats) -> Self:
        """Fit as scikit-learn's StandardScaler, in the same bits; importing that would take most of a second."""
        count = float(len(x))
        mean = x.sum(0) / count
        deviation = x - mean
        correction = deviation.sum(0) ** 2 / count
        np.square(deviation, out=deviation)  # in place: a column of a mapped dataset has hundreds of megabytes
        variance = (deviation.sum(0) - correction) / count
        epsilon = np.finfo(np.float64).eps
        is_constant = variance <= count * epsilon * variance + (count * mean * epsilon) ** 2
        # scikit-learn leaves constant features as they are: other values in new rows would be as large themselves.
        constant_scale = np.where(np.abs(mean) > _LARGE, np.abs(mean), 1.0)
        scale = np.where(is_constant, constant_scale, np.sqrt(np.maximum(variance, 0.0)))
        return cls(tuple(mean.tolist()), tuple(scale.tolist()))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(tuple(fields["mean"]), tuple(fields["scale"]))

    def transform(self, x: Floats) -> Floats:
        z = x - np.array(self.mean)
        z /= np.array(self.scale)
        return z

    def restore(self, z: Floats) -> Floats:
        scale = np.array(self.scale)
        x = z * scale + np.array(self.mean)
        return np.where(np.abs(x) < 1e-6 * scale, 0.0, x)  # zero, up to the rounding of float32

    def distance(self, x: Floats) -> Floats:
        return np.abs(self.transform(x))
