"""Rows to train, validate and test on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class Split:
    """Features x, float32 [N, F], and targets y: class numbers int64 [N] or values float32 [N, K].

    `numbers` [N]: where each row stood in the table, counted from 1; none for rows that are from no table.
    """

    x: Tensor
    y: Tensor
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def variance(self) -> tuple[float, ...]:
        """Of each of the K values; exactly 0 where they are all the same."""
        y = self.y.cpu().double().numpy()
        return tuple(np.where(y.min(0) == y.max(0), 0.0, y.var(0)).tolist())


@dataclass(frozen=True)
class Splits:
    """Three splits of one table; without a split, the same rows three times. `classes` is None for regression."""

    train: Split
    val: Split
    test: Split
    preprocessing: Preprocessing
    fingerprint: str
    notes: tuple[str, ...] = ()

    def with_targets(self, target: Callable[[Tensor], Tensor], device: torch.device) -> "Splits":
        """The same rows on `device`, their y as `target` gives it."""
        done = {
            id(part): Split(part.x.to(device), target(part.y).to(device), part.numbers) for part in self.splits.values()
        }
        return replace(self, **{name: done[id(part)] for name, part in self.splits.items()})

    @property
    def features(self) -> tuple[str, ...]:
        return self.preprocessing.features

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.preprocessing.classes

    @property
    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "val": self.val, "test": self.test}
