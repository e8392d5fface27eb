"""Full batch, online and minibatch, one thing with three sizes: how many steps an epoch has, and what each one sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeAlias

import torch
from torch import Tensor

from exp.data.seeding import epoch_order
from exp.data.splits import Split
from exp.errors import ConfigError


@dataclass(frozen=True)
class Position:
    """How far training has come: updates made, passes over the training rows (1.5: half of the second), rows seen."""

    step: int
    epoch: float
    samples: int


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
        """Where training stands after `step` updates."""
        epochs, steps = divmod(step, self.steps_per_epoch)
        samples = epochs * self.samples_per_epoch + min(steps * self.size, self.samples_per_epoch)
        return Position(step, step / self.steps_per_epoch, samples)

    def stream(self, step: int = 0, began: Tensor | None = None) -> "Stream":
        """x [B, F] and y [B, ...] of the step after `step`, and of all that follow.

        In the middle of an epoch, `began` is where torch's random stream stood when that epoch began.
        """
        return Stream(self, step, began)

    @torch.inference_mode(False)  # also where whoever asks is in it: an eager step needs tensors that autograd takes
    def epoch(self) -> Batch:
        """All rows of the next epoch, in its order; tensors of their own, for a model may write into its input."""
        x, y = self.rows.x, self.rows.y
        order = epoch_order(len(self.rows), self.shuffle)
        if order is not None:
            order = order[: self.samples_per_epoch].to(x.device)
            return x.index_select(0, order), y.index_select(0, order)
        return x[: self.samples_per_epoch].clone(), y[: self.samples_per_epoch].clone()


class Stream:
    """Batch after batch, without end; draws from torch's random stream when an epoch's first batch is asked for."""

    def __init__(self, batches: Batches, step: int, began: Tensor | None) -> None:
        self.began = began  # the random stream's state before the epoch drew its order
        self._batches = batches
        self._made = step % batches.steps_per_epoch  # of the epoch's steps
        self._steps = self._all()

    def __iter__(self) -> Iterator[Batch]:
        return self._steps

    def _all(self) -> Iterator[Batch]:
        batches = self._batches
        if batches.batch_size is None and not batches.shuffle:
            # All rows as they stand need no loader: the plain script's loop over epochs draws nothing.
            while True:
                yield batches.rows.x, batches.rows.y
        if self._made:
            assert self.began is not None
            now = torch.get_rng_state()
            torch.set_rng_state(self.began)
            x, y = batches.epoch()
            torch.set_rng_state(now)
            yield from islice(self._cut(x, y), self._made, None)
        while True:
            self.began = torch.get_rng_state()
            yield from self._cut(*batches.epoch())

    def _cut(self, x: Tensor, y: Tensor) -> Iterator[Batch]:
        size = self._batches.size
        at_once = size * _VIEWS_AT_ONCE
        for xs, ys in zip(torch.split(x, at_once), torch.split(y, at_once), strict=True):
            yield from zip(_cut(xs, size), _cut(ys, size), strict=True)


@torch.inference_mode(False)
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
