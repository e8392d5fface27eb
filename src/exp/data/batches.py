"""Full batch, online and minibatch, one thing with three sizes: how many steps an epoch has, and what each one sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from exp.data.split import Split
from exp.errors import ConfigError
from exp.events import Position
from exp.seeding import epoch_order

Batch: TypeAlias = tuple[Tensor, Tensor]

# Cutting a table into single rows all at once would take more memory than the table.
_VIEWS_AT_ONCE = 1024
# Where a tensor of its own begins in memory. Matrix products may round differently for one that begins elsewhere.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Batches:
    """The training rows in batches of `batch_size` (None: all of them), shuffled anew for every epoch or not at all."""

    rows: Split
    batch_size: int | None
    shuffle: bool
    drop_last: bool

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size > len(self.rows):
            raise ConfigError(
                f"batching.batch_size={self.batch_size} is more than the {len(self.rows)} training rows",
                f"batching=full, or batching.batch_size={min(32, len(self.rows))}",
            )

    @property
    def size(self) -> int:
        return self.batch_size or len(self.rows)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.rows) // self.size if self.drop_last else -(-len(self.rows) // self.size)

    @property
    def samples_per_epoch(self) -> int:
        return self.steps_per_epoch * self.size if self.drop_last else len(self.rows)

    def position(self, step: int) -> Position:
        """Where training stands after `step` updates."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        samples = epochs * self.samples_per_epoch + min(steps * self.size, self.samples_per_epoch)
        return Position(step, step / self.steps_per_epoch, samples)

    def stream(self) -> Iterator[Batch]:
        """x [B, F] and y [B, ...] of step after step, without end; draws when an epoch's first batch is asked for."""
        if self.batch_size is None and not self.shuffle:
            # All rows as they stand need no loader: the plain script's loop over epochs draws nothing.
            while True:
                yield self.rows.x, self.rows.y
        while True:
            x, y = self._epoch()
            at_once = self.size * _VIEWS_AT_ONCE
            for xs, ys in zip(torch.split(x, at_once), torch.split(y, at_once), strict=True):
                yield from zip(_cut(xs, self.size), _cut(ys, self.size), strict=True)

    def _epoch(self) -> Batch:
        x, y = self.rows.x, self.rows.y
        order = epoch_order(len(self.rows), self.shuffle)
        if order is not None:
            order = order[: self.samples_per_epoch].to(x.device)
            return x.index_select(0, order), y.index_select(0, order)
        return x[: self.samples_per_epoch], y[: self.samples_per_epoch]


def _cut(rows: Tensor, size: int) -> list[Tensor]:
    """The rows in batches of `size`, the last one shorter, each beginning where a tensor of its own would.

    Plain views do not, and cost the bits of the plain script, whose loader makes every batch anew:
    test_every_dataset_with_every_loss_in_every_mode.
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
