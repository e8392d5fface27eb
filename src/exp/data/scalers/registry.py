"""Which class a value of dataset.scaler names."""

from exp.data.scalers.quantile import QuantileScaler
from exp.data.scalers.robust import RobustScaler
from exp.data.scalers.scaler import Scaler
from exp.data.scalers.standard import StandardScaler

SCALERS: dict[str, type[Scaler]] = {one.kind: one for one in (StandardScaler, RobustScaler, QuantileScaler)}
