"""The training, validation and test rows of a run."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.data.mapped.maps import as_bytes, is_mapped, iterate_parts, release_pages
from exp.data.preprocessing import Preprocessing
from exp.data.row_weights import pack
from exp.data.target_scale import TargetScale

# Values of features in float64 that are computed at a time.
_MAX_VALUES = 2**22


@dataclass(frozen=True)
class Split:
    """Features x, float32 [N, F], and targets y: class indices int64 [N] or values float32 [N, K].

    With a `target_scale`, values are standardised.
    `row_numbers` [N] are positions in the dataset, counted from 1; empty if the rows come from elsewhere.
    `weights`, float32 [N], are those of `dataset.weight`; None: all rows weigh the same.
    `given`, float64 [N, K], are numeric targets as the dataset has them, of the test rows of a fold.
    """

    x: Tensor
    y: Tensor
    row_numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    target_scale: TargetScale | None = None
    weights: Tensor | None = None
    given: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> "Split":
        """Return the split with its tensors on `device`, except rows x in a mapped file, which stay there."""
        weights = None if self.weights is None else self.weights.to(device)
        x = self.x if is_mapped(self.x) else self.x.to(device)
        return replace(self, x=x, y=self.y.to(device), weights=weights)

    @property
    def device(self) -> torch.device:
        """The device that the rows are trained on."""
        return self.y.device

    @property
    def class_numbers(self) -> NDArray[np.int64]:
        """The true classes [N], on the CPU."""
        return self.y.reshape(len(self)).long().cpu().numpy()

    @property
    def row_weights(self) -> NDArray[np.float64] | None:
        """The weights of the rows [N] in float64, on the CPU; None: all weigh 1."""
        return None if self.weights is None else self.weights.double().cpu().numpy()

    @property
    def values(self) -> Tensor:
        """The numeric targets [N, K] in their own unit, on the CPU; float64 if they are scaled."""
        return self.y.cpu() if self.target_scale is None else self.target_scale.restore(self.y)

    @cached_property
    def target(self) -> Tensor:
        """The targets as a loss gets them: with weights, these are the last column."""
        return self.y if self.weights is None else pack(self.y, self.weights)

    def feature_moments(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation of each feature, float64 [F]."""
        mean = spread = torch.zeros(self.x.shape[1], dtype=torch.float64, device=self.x.device)
        count = 0
        # A part at a time: all rows in float64 would take twice their memory.
        for part in iterate_parts(self.x, max(1, _MAX_VALUES // max(1, self.x.shape[1]))):
            own_spread, own_mean = torch.std_mean(part.double(), 0, correction=0)
            if not count:
                mean, spread, count = own_mean, own_spread, len(part)
                continue
            share, difference = len(part) / (count + len(part)), own_mean - mean
            variance = (1 - share) * spread.square() + share * own_spread.square()
            spread = (variance + share * (1 - share) * difference.square()).sqrt()
            mean, count = mean + share * difference, count + len(part)
        return mean, spread

    @cached_property
    def largest(self) -> Tensor:
        """The largest absolute value of each feature, float32 [F]: NaN if one is NaN, 0 if there are no rows."""
        largest = torch.zeros(self.x.shape[1], device=self.x.device)
        for part in iterate_parts(self.x, max(1, _MAX_VALUES // max(1, self.x.shape[1]))):
            if len(part):
                largest = torch.maximum(largest, part.abs().amax(0))
        return largest

    @cached_property
    def variance(self) -> tuple[float, ...]:
        """The (weighted) variance of each of the K targets in its own unit; exactly 0 where all values are equal."""
        y = self.values.double().numpy()
        variance = (
            y.var(0) if self.weights is None else _compute_weighted_variance(y, self.weights.double().cpu().numpy())
        )
        return tuple(np.where(y.min(0) == y.max(0), 0.0, variance).tolist())


def _compute_weighted_variance(y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = np.average(y, axis=0, weights=weights)
    return np.asarray(np.average(np.square(y - mean), axis=0, weights=weights))


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
        moved = {id(split): replace(split, y=target(split.y)).to(device) for split in (self.train, self.val, self.test)}
        return replace(self, train=moved[id(self.train)], val=moved[id(self.val)], test=moved[id(self.test)])

    def with_note(self, note: str) -> "Splits":
        """Return the splits with one more note, the first."""
        return replace(self, notes=(note, *self.notes))

    @property
    def features(self) -> tuple[str, ...]:
        return self.preprocessing.features

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.preprocessing.classes

    @property
    def class_totals(self) -> NDArray[np.float64]:
        """The total weight of the training rows of each class; without weights their number. Empty for regression."""
        if self.classes is None:
            return np.zeros(0)
        y, of_row = self.train.class_numbers, self.train.row_weights
        totals = np.bincount(y, of_row, len(self.classes)).astype(np.float64)
        release_pages(y)
        return totals

    @property
    def split_fingerprint(self) -> str:
        """SHA-256 of the numbers of the rows in each split: equal for the same division of the same dataset only."""
        digest = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            digest.update(len(split).to_bytes(8, "little"))
            digest.update(as_bytes(np.sort(split.row_numbers)))  # tobytes() would copy 8 bytes a row
            release_pages(split.row_numbers)
        return digest.hexdigest()

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that have rows, by name."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in splits.items() if len(split)}

    @property
    def held_out(self) -> str:
        """The name of the split that tells how good the model is: test, or without test rows val, or else train."""
        return [*self.splits][-1]
