"""The scalers of `dataset.scaler` as modules, in float64."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.preprocessing import Preprocessing
from exp.data.scalers.quantile import QuantileScaler
from exp.data.scalers.robust import RobustScaler
from exp.data.scalers.scaler import Scaler
from exp.data.scalers.standard import StandardScaler
from exp.errors import ConfigError

# Of scikit-learn's QuantileTransformer: ranks this close to 0 or 1 are clipped, as those have no normal quantile.
_BOUND = 1e-7 - float(np.spacing(1.0))

# Coefficients of Wichura, 1988, "Algorithm AS 241", highest power first: above and below the line of a fraction, for
# probabilities near a half, and for others.
_CENTRE_ABOVE = (
    *(2.50908_09287_30122_6727e3, 3.34305_75583_58812_8105e4, 6.72657_70927_00870_0853e4, 4.59219_53931_54987_1457e4),
    *(1.37316_93765_50946_1125e4, 1.97159_09503_06551_4427e3, 1.33141_66789_17843_7745e2, 3.38713_28727_96366_6080e0),
)
_CENTRE_BELOW = (
    *(5.22649_52788_52854_5610e3, 2.87290_85735_72194_2674e4, 3.93078_95800_09271_0610e4, 2.12137_94301_58659_5867e4),
    *(5.39419_60214_24751_1077e3, 6.87187_00749_20579_0830e2, 4.23133_30701_60091_1252e1, 1.0),
)
_TAIL_ABOVE = (
    *(7.74545_01427_83414_07640e-4, 2.27238_44989_26918_45833e-2, 2.41780_72517_74506_11770e-1),
    *(1.27045_82524_52368_38258e0, 3.64784_83247_63204_60504e0, 5.76949_72214_60691_40550e0),
    *(4.63033_78461_56545_29590e0, 1.42343_71107_49683_57734e0),
)
_TAIL_BELOW = (
    *(1.05075_00716_44416_84324e-9, 5.47593_80849_95344_94600e-4, 1.51986_66563_61645_71966e-2),
    *(1.48103_97642_74800_74590e-1, 6.89767_33498_51000_04550e-1, 1.67638_48301_83803_84940e0),
    *(2.05319_16266_37758_82187e0, 1.0),
)


def make_scaling(preprocessing: Preprocessing) -> nn.Module | None:
    """Return the scaler of the features of numbers [N, S]; None: they are not scaled."""
    scaler = preprocessing.scaler
    if scaler is None:
        return None
    channels = _channels(preprocessing)
    if isinstance(scaler, StandardScaler):
        return _Standard(_take(scaler.mean, channels), _take(scaler.scale, channels))
    if isinstance(scaler, RobustScaler):
        return _Robust(_take(scaler.median, channels), _take(scaler.factor, channels))
    if isinstance(scaler, QuantileScaler):
        return _Quantile(np.array(scaler.quantiles)[:, channels])
    raise _unknown(scaler)


def _unknown(scaler: Scaler) -> ConfigError:
    return ConfigError(f"no graph for dataset.scaler={scaler.kind}", "out=FILE, which takes scaled features")


def _channels(preprocessing: Preprocessing) -> Sequence[int]:
    """Return the number of the scaler's channel for each scaled feature, as `to_channels` orders them."""
    count, shape = int(preprocessing.is_scaled.sum()), preprocessing.shape
    if len(shape) == 2:
        return [place % shape[1] for place in range(count)]
    if len(shape) > 2:
        return [place // (count // shape[0]) for place in range(count)]
    return range(count)


def _take(values: Sequence[float], channels: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64)[list(channels)])


class _Standard(nn.Module):
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class _Robust(nn.Module):
    median: Tensor
    factor: Tensor
    limit: Tensor

    def __init__(self, median: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("median", median)
        self.register_buffer("factor", factor)
        self.register_buffer("limit", torch.tensor(1e150, dtype=torch.float64))  # a number would be float32 in ONNX

    def forward(self, x: Tensor) -> Tensor:
        # Values beyond 1e100 are missing already; z is clipped so that its square is finite.
        z = torch.minimum(torch.maximum((x - self.median) * self.factor, -self.limit), self.limit)
        return z / (1.0 + (z / 3.0) * (z / 3.0)).sqrt()


class _Quantile(nn.Module):
    """As scikit-learn: the mean of the interpolated ranks from below and from above, then the normal quantile."""

    flat: Tensor
    first: Tensor
    last: Tensor
    start: Tensor
    bounds: Tensor
    coefficients: Tensor
    middle: Tensor

    def __init__(self, quantiles: np.ndarray) -> None:
        super().__init__()
        # Buffers: ONNX files would have Python's numbers in float32.
        self.register_buffer("bounds", torch.tensor([_BOUND, 1.0 - _BOUND], dtype=torch.float64))
        coefficients = [_CENTRE_ABOVE, _CENTRE_BELOW, _TAIL_ABOVE, _TAIL_BELOW]
        self.register_buffer("coefficients", torch.tensor(coefficients, dtype=torch.float64))
        self.register_buffer("middle", torch.tensor([0.180625, 1.6, 0.425], dtype=torch.float64))
        self._count, features = quantiles.shape
        self.register_buffer("flat", torch.from_numpy(np.ascontiguousarray(quantiles.T).reshape(-1)))
        self.register_buffer("first", torch.from_numpy(quantiles[0].copy()))
        self.register_buffer("last", torch.from_numpy(quantiles[-1].copy()))
        self.register_buffer("start", torch.arange(features) * self._count)

    def forward(self, x: Tensor) -> Tensor:
        p = 0.5 * (self._rank(x, from_above=False) + self._rank(x, from_above=True))
        p = torch.where(x >= self.last, 1.0, p)
        p = torch.where(x <= self.first, 0.0, p)
        z = self._normal_quantile(torch.minimum(torch.maximum(p, self.bounds[0]), self.bounds[1]))
        return torch.where(self.first == self.last, 0.0, z)  # constant in the training rows

    def _rank(self, x: Tensor, from_above: bool) -> Tensor:
        """Return the interpolated rank in [0, 1]: in an interval that begins, or ends, at an equal quantile."""
        below = torch.zeros_like(x, dtype=torch.int64)  # how many quantiles are below x, by bisection
        for power in reversed(range(self._count.bit_length())):
            tried = below + 2**power
            value = self.flat[self.start + tried.clamp(max=self._count) - 1]
            is_below = (value < x if from_above else value <= x) & (tried <= self._count)
            below = torch.where(is_below, tried, below)
        right = below.clamp(1, self._count - 1)
        low, high = self.flat[self.start + right - 1], self.flat[self.start + right]
        width = torch.where(high > low, high - low, 1.0)
        return (right - 1 + (x - low) / width) / (self._count - 1)

    def _normal_quantile(self, p: Tensor) -> Tensor:
        """Return the value below which a standard normal variable is with probability p, for 1e-8 < p < 1 - 1e-8."""
        q = p - 0.5
        r = self.middle[0] - q * q
        centre = q * _polynomial(r, self.coefficients[0]) / _polynomial(r, self.coefficients[1])
        r = (-torch.minimum(p, 1.0 - p).log()).sqrt() - self.middle[1]
        tail = _polynomial(r, self.coefficients[2]) / _polynomial(r, self.coefficients[3])
        return torch.where(q.abs() <= self.middle[2], centre, torch.where(q < 0.0, -tail, tail))


def _polynomial(x: Tensor, coefficients: Tensor) -> Tensor:
    value = torch.zeros_like(x)
    for coefficient in coefficients.unbind():
        value = value * x + coefficient
    return value
