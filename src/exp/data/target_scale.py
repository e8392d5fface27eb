"""Standardise numeric targets by the training rows, and convert predictions back to the target's own unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exp.config.target_kind import TargetKind
from exp.data.columns.column import Floats
from exp.errors import ConfigError, DataError

# The mean of a target divided by its median from which its logarithm is named; 1.44 for an exponential distribution.
_SKEWED = 2.0

# Training rows, or fewer, of which the median is computed.
_SAMPLE = 10_000


@dataclass(frozen=True)
class TargetScale:
    """The mean and deviation of each of K targets in the training rows; of their logarithms with `log`."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    log: bool = False

    @classmethod
    def fit(cls, y: Floats, log: bool = False) -> "TargetScale":
        """Fit the targets [N, K] of the training rows. A constant target has the scale 1."""
        values = np.log(y) if log else y
        is_constant = values.min(0) == values.max(0)
        mean = np.array(np.where(is_constant, values[0], values.mean(0)), dtype=np.float64)
        deviation = np.sqrt(np.square(values - mean).mean(0))  # 0 also where the squares underflow
        scale = np.array(np.where(is_constant | (deviation == 0), 1.0, deviation), dtype=np.float64)
        return cls(tuple(mean.tolist()), tuple(scale.tolist()), log)

    def transform(self, y: Floats) -> Floats:
        """Return the standardised targets [N, K]."""
        return ((np.log(y) if self.log else y) - np.array(self.mean)) / np.array(self.scale)

    def restore(self, values: Tensor) -> Tensor:
        """Return standardised values [N, K] in the target's own unit, float64 on the CPU."""
        return OwnUnit(self)(values.cpu())


class OwnUnit(nn.Module):
    """Convert standardised values [N, K] to the target's own unit, float64."""

    scale: Tensor
    mean: Tensor

    def __init__(self, target: TargetScale) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(target.scale, dtype=torch.float64))
        self.register_buffer("mean", torch.tensor(target.mean, dtype=torch.float64))
        self._is_log = target.log

    def forward(self, values: Tensor) -> Tensor:
        linear = values.double() * self.scale + self.mean
        return linear.exp() if self._is_log else linear


def fit_target_scale(
    y: NDArray[Any], target: TargetKind, train: NDArray[np.int64], choice: Any, name: str
) -> TargetScale | None:
    """Return the scale that `dataset.scale_target=choice` means for the targets of all rows; None: none.

    Args:
        y: Class numbers [N], labels [N, K], or values [N, K].
        train: The training rows.
        choice: auto, true, false or log; auto standardises numeric targets.
        name: The target's name, for messages.

    Raises:
        ConfigError: The target has classes or labels.
        DataError: The logarithm of a target does not exist.
    """
    if choice in (None, False) or (choice == "auto" and target.is_categorical):
        return None
    if target.is_categorical:
        key = f"dataset.scale_target={str(choice).lower()}"
        raise ConfigError(
            f"{key} needs a numeric target, but this target has {target.kind}", "dataset.scale_target=auto"
        )
    if choice == "log":
        check_positive(y, name, "dataset.scale_target=log", "dataset.scale_target=true")
    return TargetScale.fit(y[train], choice == "log")


def skew_notes(
    y: NDArray[Any], names: Sequence[str], train: NDArray[np.int64], choice: Any, scale: TargetScale | None
) -> list[str]:
    """Return a note if the mean of a target that is > 0 is far above its median: a few rows decide a squared error.

    Args:
        y: Values [N, K] of all rows, of targets with these `names`.
        train: The training rows.
        choice: dataset.scale_target, of which only auto has the note; `scale` is what it became.
    """
    if choice != "auto" or scale is None:
        return []
    medians = np.median(y[train[:: -(-len(train) // _SAMPLE)]], axis=0)
    with np.errstate(over="ignore"):
        ratios = np.divide(scale.mean, medians, out=np.zeros_like(medians), where=medians > 0)
    place = int(ratios.argmax())
    if ratios[place] < _SKEWED or not (y > 0).all():
        return []
    what = f"target '{names[place]}': its mean is {ratios[place]:.3g} times its median"
    return [f"{what}; for relative errors: dataset.scale_target=log"]


def check_positive(y: Floats, name: str, where: str, fix: str) -> None:
    """Raise DataError, which begins with `where`, if a value of the target y [N, K] has no logarithm. NaN is a gap."""
    if (y <= 0).any():
        raise DataError(f"{where}: the target '{name}' must be > 0 in every row, got {np.nanmin(y):g}", fix)
