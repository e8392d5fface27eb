"""Batches of training rows: full batch, online and mini-batch training differ only in the batch size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from exp.data.mapped.maps import is_large, release_pages, take_rows
from exp.data.seeding import epoch_order
from exp.data.splits import Split
from exp.data.stack import Stack, cut
from exp.errors import ConfigError


class Position(NamedTuple):
    """How far training has come.

    Attributes:
        step: The number of updates.
        epoch: The number of epochs; 1.5 is the middle of the second.
        samples: The number of rows that batches had, each epoch anew.
    """

    step: int
    epoch: float
    samples: int

    def as_column(self) -> "Positions":
        """Return the position as columns of length 1."""
        return Positions([self.step], [self.epoch], [self.samples])


class Positions(NamedTuple):
    """Several positions, as columns of the same length."""

    step: Sequence[int]
    epoch: Sequence[float]
    samples: Sequence[int]

    def row(self, index: int) -> Position:
        """Return one of the positions."""
        return Position(self.step[index], self.epoch[index], self.samples[index])


# Batches, and values of features, that are laid out at a time: all rows of a large dataset, or a view for each batch,
# would take as much memory again.
_MAX_VIEWS = 1024
_MAX_VALUES = 2**23


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
        return Position(step, step / self.steps_per_epoch, self._samples(step))

    def positions(self, steps: Sequence[int]) -> Positions:
        """Return the positions after so many updates."""
        return Positions(steps, [step / self.steps_per_epoch for step in steps], [*map(self._samples, steps)])

    def _samples(self, step: int) -> int:
        epochs, steps = divmod(step, self.steps_per_epoch)
        return epochs * self.samples_per_epoch + min(steps * self.size, self.samples_per_epoch)

    def stream(self, step: int = 0, epoch_rng_state: Tensor | None = None) -> "Stream":
        """Return the batches after `step`.

        Args:
            step: Number of updates already made.
            epoch_rng_state: State of torch's random generator at the start of the epoch that `step` is in; required in
                the middle of an epoch.
        """
        return Stream(self, step, epoch_rng_state)

    def epoch(self) -> "Iterator[Sequence[Stack]]":
        """Yield the rows in the order of the next epoch, a part at a time, each as stacks.

        The order is drawn when the first part is taken.
        """
        order = epoch_order(len(self.rows), self.shuffle)
        for start in range(0, self.samples_per_epoch, self._rows_per_part):
            end = min(start + self._rows_per_part, self.samples_per_epoch)
            rest = end - (end - start) % self.size  # where a smaller batch begins, if there is one
            yield [self._stack(order, first, last) for first, last in ((start, rest), (rest, end)) if first < last]

    def _stack(self, order: Tensor | None, start: int, end: int) -> Stack:
        x, y, size = self.rows.x, self.rows.target, min(self.size, end - start)
        if order is not None and self._are_rows_read:
            return Stack.of_rows(x, y, order[start:end], size)
        with torch.inference_mode(False):  # the eager step needs tensors that autograd accepts
            if order is None:
                copies = x[start:end].to(y.device, copy=True), y[start:end].clone()
                release_pages(x)
            else:
                rows = order[start:end]
                copies = take_rows(x, rows.to(x.device)).to(y.device), take_rows(y, rows.to(y.device))
            return Stack.of(*(cut(one, size) for one in copies))

    @cached_property
    def _are_rows_read(self) -> bool:
        """Whether steps may read the rows. Those of large files, or on a GPU, are copied in their own way."""
        return all(
            one.device.type == "cpu" and one.is_contiguous() and not is_large(one)
            for one in (self.rows.x, self.rows.target)
        )

    @cached_property
    def _rows_per_part(self) -> int:
        values = self.size * self.rows.x[0].numel()
        return self.size * min(_MAX_VIEWS, max(1, _MAX_VALUES // max(1, values)))


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
                yield Stack.of(x.expand(_MAX_VIEWS, *x.shape), y.expand(_MAX_VIEWS, *y.shape))
        if done:
            assert self.epoch_rng_state is not None
            current = torch.get_rng_state()
            torch.set_rng_state(self.epoch_rng_state)
            parts = batches.epoch()
            first = next(parts)
            torch.set_rng_state(current)
            yield from _skip(chain(first, chain.from_iterable(parts)), done)
        while True:
            self.epoch_rng_state = torch.get_rng_state()
            for stacks in batches.epoch():
                yield from stacks


def _skip(stacks: Iterator[Stack], steps: int) -> Iterator[Stack]:
    for stack in stacks:
        _, rest = stack.split(steps)
        steps -= len(stack) - len(rest)
        if len(rest):
            yield rest
