"""Batches of training rows: full batch, online and mini-batch training differ only in the batch size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
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


@dataclass(frozen=True)
class Stack:
    """Batches of equal size in order: x [n, B, F], y [n, B, ...]."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return self.x.size(0)  # len(self.x) takes three times as long

    def __iter__(self) -> Iterator[Batch]:
        return zip(self.x.unbind(), self.y.unbind(), strict=True)

    @property
    def batch_size(self) -> int:
        return self.x.size(1)

    def singles(self) -> "Iterator[Stack]":
        """Yield a stack of each batch."""
        return (Stack(self.x[i : i + 1], self.y[i : i + 1]) for i in range(len(self)))

    def split(self, count: int) -> "tuple[Stack, Stack]":
        """Return the first `count` batches and the rest, which share memory with this stack."""
        return Stack(self.x[:count], self.y[:count]), Stack(self.x[count:], self.y[count:])


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
        """Return the batches after `step`.

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
    """An endless stream of batches. It draws from torch's random generator at the start of each epoch."""

    def __init__(self, batches: Batches, step: int, epoch_rng_state: Tensor | None) -> None:
        self.epoch_rng_state = epoch_rng_state  # state of the random generator before the order of the epoch was drawn
        self._batches = batches
        self._stacks = self._stacks_after(step % batches.steps_per_epoch)
        self._rest: Stack | None = None  # of the stack that was taken from last

    def take(self, steps: int) -> Iterator[Stack]:
        """Yield the batches of the next steps.

        Make the steps of a stack before the next one is taken: in a plain script, the order of an epoch is drawn after
        all that the steps of the epoch before it have drawn.
        """
        while steps:
            taken, self._rest = self._rest or next(self._stacks), None
            if len(taken) > steps:
                taken, self._rest = taken.split(steps)
            steps -= len(taken)
            yield taken

    def _stacks_after(self, done: int) -> Iterator[Stack]:
        """Yield all batches of the epochs, without the first `done`."""
        batches = self._batches
        if batches.batch_size is None and not batches.shuffle:
            # The plain script trains on all rows without a DataLoader, so it draws no random number.
            x, y = batches.rows.x.to(batches.rows.device), batches.rows.target
            while True:
                yield Stack(x.expand(_MAX_VIEWS, *x.shape), y.expand(_MAX_VIEWS, *y.shape))
        if done:
            assert self.epoch_rng_state is not None
            current = torch.get_rng_state()
            torch.set_rng_state(self.epoch_rng_state)
            order_drawn = batches.epoch()
            first = next(order_drawn)
            torch.set_rng_state(current)
            yield from _skip(_stack(chain([first], order_drawn), batches.size), done)
        while True:
            self.epoch_rng_state = torch.get_rng_state()
            yield from _stack(batches.epoch(), batches.size)


def _stack(parts: Iterator[Batch], size: int) -> Iterator[Stack]:
    """Yield the rows of the parts in batches of `size`; the last one of a part may be smaller."""
    for x, y in parts:
        yield from map(Stack, _batched(x, size), _batched(y, size))


def _skip(stacks: Iterator[Stack], steps: int) -> Iterator[Stack]:
    for stack in stacks:
        _, rest = stack.split(steps)
        steps -= len(stack) - len(rest)
        if len(rest):
            yield rest


@torch.inference_mode(False)
def _batched(rows: Tensor, size: int) -> Sequence[Tensor]:
    """Return the rows in batches of `size`, each aligned in memory like a new tensor, and a smaller batch of the rest.

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
    stacks = [laid_out.view(whole, size, *row_shape)] if whole else []
    return stacks if whole * size == len(rows) else [*stacks, rows[whole * size :].clone().unsqueeze(0)]
