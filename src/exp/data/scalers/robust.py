"""dataset.scaler=robust: median and interquartile range, then a smooth clip, as RealMLP (Holzmueller et al. 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from exp.data.columns.column import Floats
from exp.data.scalers.scaler import Scaler

# A narrower column counts as constant, and larger values are clipped to _LARGEST, so that value * factor stays finite.
_NARROWEST, _LARGEST = 1e-200, 1e100

# Scaled values stay between -3 and 3, whatever outliers there are.
_LIMIT = 3.0


@dataclass(frozen=True)
class RobustScaler(Scaler):
    """z = (x - median) * factor, then z / sqrt(1 + (z / 3)^2).

    `factor` is 1 / interquartile range. A feature whose quartiles are equal is divided by half of its range, and a
    constant feature is 0.
    """

    median: tuple[float, ...]
    factor: tuple[float, ...]

    kind: ClassVar[str] = "robust"
    described: ClassVar[str] = "scaled by the median and quartiles of the training rows"

    @classmethod
    def fit(cls, x: Floats) -> Self:
        low, median, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
        width = np.array(high - low)
        width[width == 0] = (x.max(0) - x.min(0))[width == 0] / 2
        factor = np.divide(1.0, width, out=np.zeros_like(width), where=width >= _NARROWEST)
        return cls(tuple(median.tolist()), tuple(factor.tolist()))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(tuple(fields["median"]), tuple(fields["factor"]))

    def transform(self, x: Floats) -> Floats:
        z = self._linear(x)
        return z / np.hypot(1.0, z / _LIMIT)  # the square of a large z would be infinite

    def restore(self, z: Floats) -> Floats:
        factor, inside = np.array(self.factor), np.clip(z / _LIMIT, -1 + 1e-15, 1 - 1e-15)
        linear = z / np.sqrt(1 - np.square(inside))
        return np.divide(linear, factor, out=np.zeros_like(linear), where=factor > 0) + np.array(self.median)

    def distance(self, x: Floats) -> Floats:
        return np.abs(self._linear(x))

    def _linear(self, x: Floats) -> Floats:
        return (np.clip(x, -_LARGEST, _LARGEST) - np.array(self.median)) * np.array(self.factor)
