"""Batches of training rows: full batch, online and mini-batch training differ only in the batch size."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TypeAlias

import torch
from torch import Tensor

from exp.data.mapped.maps import release_pages, take_rows
from exp.data.seeding import epoch_order
from exp.data.splits import Split
from exp.errors import ConfigError


@dataclass(frozen=True)
class Position:
    """How far training has come: number of updates, epochs (1.5: half of the second) and samples."""

    step: int
    epoch: float
    samples: int


Batch: TypeAlias = tuple[Tensor, Tensor]


# Batches, and values of features, that are laid out at a time: all rows of a large dataset, or a view for each batch,
# would take as much memory again.
_MAX_VIEWS = 1024
_MAX_VALUES = 2**23


# Bytes. torch aligns new tensors to this; matrix products may round differently for other alignments.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Batches:
    """Training rows in batches of `batch_size` (None: all rows), in a new order every epoch if `shuffle`.

    Raises:
        ConfigError: There are fewer rows than `batch_size`.
    """

    rows: Split
    batch_size: int | None
    shuffle: bool
    drop_last: bool

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size > len(self.rows):
            raise ConfigError(
                f"batching.batch_size must be <= the number of training rows, {len(self.rows)}, got {self.batch_size}",
                f"batching=full, or batching.batch_size={min(32, len(self.rows))}",
            )

    @cached_property
    def size(self) -> int:
        return self.batch_size or len(self.rows)

    @cached_property
    def steps_per_epoch(self) -> int:
        return len(self.rows) // self.size if self.drop_last else -(-len(self.rows) // self.size)

    @cached_property
    def samples_per_epoch(self) -> int:
        return self.steps_per_epoch * self.size if self.drop_last else len(self.rows)

    def position(self, step: int) -> Position:
        """Return the position after `step` updates."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        samples = epochs * self.samples_per_epoch + min(steps * self.size, self.samples_per_epoch)
        return Position(step, step / self.steps_per_epoch, samples)

    def stream(self, step: int = 0, epoch_rng_state: Tensor | None = None) -> "Stream":
        """Return the batches after `step`: x [B, F] and y [B, ...] of each following step.

        Args:
            step: Number of updates already made.
            epoch_rng_state: State of torch's random generator at the start of the epoch that `step` is in; required in
                the middle of an epoch.
        """
        return Stream(self, step, epoch_rng_state)

    def epoch(self) -> Iterator[Batch]:
        """Yield copies of x and y in the order of the next epoch, a part at a time.

        Copies, because a model may write to its input. The order is drawn when the first part is taken.
        """
        x, y = self.rows.x, self.rows.target
        order = epoch_order(len(self.rows), self.shuffle)
        values = self.size * x[0].numel()
        size = self.size * min(_MAX_VIEWS, max(1, _MAX_VALUES // max(1, values)))
        for start in range(0, self.samples_per_epoch, size):
            end = min(start + size, self.samples_per_epoch)
            with torch.inference_mode(False):  # the eager step needs tensors that autograd accepts
                if order is None:
                    part = x[start:end].to(y.device, copy=True), y[start:end].clone()
                    release_pages(x)
                else:
                    rows = order[start:end]
                    part = take_rows(x, rows.to(x.device)).to(y.device), take_rows(y, rows.to(y.device))
            yield part


class Stream:
    """An endless iterator over batches. It draws from torch's random generator at the start of each epoch."""

    def __init__(self, batches: Batches, step: int, epoch_rng_state: Tensor | None) -> None:
        self.epoch_rng_state = epoch_rng_state  # state of the random generator before the order of the epoch was drawn
        self._batches = batches
        self._done = step % batches.steps_per_epoch  # steps of the epoch
        self._steps = self._all()

    def __iter__(self) -> Iterator[Batch]:
        return self._steps

    def _all(self) -> Iterator[Batch]:
        batches = self._batches
        if batches.batch_size is None and not batches.shuffle:
            # The plain script trains on all rows without a DataLoader, so it draws no random number.
            while True:
                yield batches.rows.x.to(batches.rows.device), batches.rows.target
        if self._done:
            assert self.epoch_rng_state is not None
            current = torch.get_rng_state()
            torch.set_rng_state(self.epoch_rng_state)
            order_drawn = batches.epoch()
            first = next(order_drawn)
            torch.set_rng_state(current)
            yield from islice(self._split(chain([first], order_drawn)), self._done, None)
        while True:
            self.epoch_rng_state = torch.get_rng_state()
            yield from self._split(batches.epoch())

    def _split(self, parts: Iterator[Batch]) -> Iterator[Batch]:
        size = self._batches.size
        for x, y in parts:
            yield from zip(_batched(x, size), _batched(y, size), strict=True)


@torch.inference_mode(False)
def _batched(rows: Tensor, size: int) -> list[Tensor]:
    """Return the rows in batches of `size`, each aligned in memory like a new tensor; the last one may be smaller.

    Plain views are not aligned, and their losses would differ from those of the plain script, whose DataLoader copies
    every batch: test_every_dataset_with_every_loss_in_every_mode.
    """
    row_shape = rows.shape[1:]
    whole = len(rows) // size
    width = size * row_shape.numel()
    step = _ALIGNMENT // rows.element_size()
    laid_out = rows[: whole * size].reshape(whole, width)
    if width % step or rows.data_ptr() % _ALIGNMENT:
        padded = rows.new_empty(whole, -(-width // step) * step)
        padded[:, :width] = laid_out
        laid_out = padded[:, :width]
    batches = list(torch.unbind(laid_out.view(whole, size, *row_shape)))
    return batches if whole * size == len(rows) else [*batches, rows[whole * size :].clone()]
