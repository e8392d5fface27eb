"""The training, validation and test rows of a run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.data.preprocessing import Preprocessing
from exp.data.target_scale import TargetScale


@dataclass(frozen=True)
class Split:
    """Features x, float32 [N, F], and targets y: class indices int64 [N] or values float32 [N, K].

    With a `target_scale`, values are standardised.
    `row_numbers` [N] are positions in the dataset, counted from 1; empty if the rows come from elsewhere.
    """

    x: Tensor
    y: Tensor
    row_numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    target_scale: TargetScale | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def values(self) -> Tensor:
        """The numeric targets [N, K] in their own unit, on the CPU; float64 if they are scaled."""
        return self.y.cpu() if self.target_scale is None else self.target_scale.restore(self.y)

    @cached_property
    def variance(self) -> tuple[float, ...]:
        """The variance of each of the K target columns in its own unit; exactly 0 where all values are equal."""
        y = self.values.double().numpy()
        return tuple(np.where(y.min(0) == y.max(0), 0.0, y.var(0)).tolist())


@dataclass(frozen=True)
class Splits:
    """The three splits of a dataset; the same object three times if the dataset is not split.

    val and test may be empty. `classes` is None for regression.
    """

    train: Split
    val: Split
    test: Split
    preprocessing: Preprocessing
    fingerprint: str
    notes: tuple[str, ...] = ()

    def with_targets(self, target: Callable[[Tensor], Tensor], device: torch.device) -> "Splits":
        """Return the splits on `device`, with `target` applied to their y."""
        moved = {
            id(split): replace(split, x=split.x.to(device), y=target(split.y).to(device))
            for split in (self.train, self.val, self.test)
        }
        return replace(self, train=moved[id(self.train)], val=moved[id(self.val)], test=moved[id(self.test)])

    @property
    def features(self) -> tuple[str, ...]:
        return self.preprocessing.features

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.preprocessing.classes

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that have rows, by name."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in splits.items() if len(split)}

    @property
    def held_out(self) -> str:
        """The name of the split that tells how good the model is: test, or without test rows val, or else train."""
        return [*self.splits][-1]
