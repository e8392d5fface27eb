"""dataset.scaler=quantile: a normal distribution by the ranks in the training rows, as TabM (Gorishniy et al. 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from exp.data.columns.column import Floats
from exp.data.scalers.scaler import Scaler

# Added to the training rows, so that equal values do not make a quantile function with steps.
_NOISE = 1e-5

# scikit-learn takes a value within 1e-7 of the smallest or largest for that one, whatever the unit of the column is:
# it gets the values times _UNIT, a power of two, which rounds none. _BEYOND is further out than any of them.
_UNIT, _BEYOND = 2.0**400, 1e300


@dataclass(frozen=True)
class QuantileScaler(Scaler):
    """scikit-learn's QuantileTransformer with a normal distribution; `quantiles` are Q tuples of S values."""

    quantiles: tuple[tuple[float, ...], ...]

    kind: ClassVar[str] = "quantile"
    described: ClassVar[str] = "scaled to a normal distribution by the quantiles of the training rows"

    @classmethod
    def fit(cls, x: Floats) -> Self:
        """Fit between 10 and 1,000 quantiles, one for 30 rows. The noise does not depend on the run's seed."""
        from sklearn.preprocessing import QuantileTransformer  # lazy: takes most of a second

        count = min(len(x), max(min(len(x) // 30, 1000), 10))
        noise = np.random.default_rng(0).normal(0.0, _NOISE, x.shape) * x.std(0)
        options: dict[str, Any] = {"subsample": None, "output_distribution": "normal"}
        fitted: Any = QuantileTransformer(n_quantiles=count, **options).fit(x + noise)
        return cls(tuple(tuple(row) for row in fitted.quantiles_.tolist()))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(tuple(tuple(row) for row in fields["quantiles"]))

    @cached_property
    def _transformer(self) -> Any:
        from sklearn.preprocessing import QuantileTransformer

        transformer: Any = QuantileTransformer(n_quantiles=len(self.quantiles), output_distribution="normal")
        transformer.quantiles_ = np.array(self.quantiles) * _UNIT
        transformer.n_quantiles_ = len(self.quantiles)
        transformer.references_ = np.linspace(0, 1, len(self.quantiles), endpoint=True)
        transformer.n_features_in_ = transformer.quantiles_.shape[1]
        return transformer

    def transform(self, x: Floats) -> Floats:
        first, last = np.array(self.quantiles[0]), np.array(self.quantiles[-1])
        in_unit = np.clip(x, first, last) * _UNIT
        np.copyto(in_unit, -_BEYOND, where=x <= first)
        np.copyto(in_unit, _BEYOND, where=x >= last)
        z = self._transformer.transform(in_unit)
        z[:, first == last] = 0.0  # constant in the training rows
        return z

    def restore(self, z: Floats) -> Floats:
        return self._transformer.inverse_transform(z) / _UNIT

    def distance(self, x: Floats) -> Floats:
        """The width is the standard deviation of the quantiles: the quartiles of a column of zeros are the noise's."""
        quantiles = np.array(self.quantiles)
        with np.errstate(over="ignore", invalid="ignore"):  # of values beyond 1e150
            width = quantiles.std(axis=0)
            away = np.abs(x - np.median(quantiles, axis=0))
            return np.divide(away, width, out=np.zeros_like(away), where=width > 0)
