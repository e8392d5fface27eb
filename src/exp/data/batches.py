"""Full batch, online and minibatch: one thing with three sizes. Knows how many steps an epoch has and what each step sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from exp.data.split import Split
from exp.errors import ConfigError
from exp.events import Position
from exp.seeding import epoch_order

Batch: TypeAlias = tuple[Tensor, Tensor]

# Cutting a table into single rows all at once would take more memory than the table.
_VIEWS_AT_ONCE = 1024


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
        """x [B, F] and y [B, ...] of one step after the other, without end. Draws when an epoch's first batch is asked for."""
        while True:
            x, y = self._epoch()
            for xs, ys in zip(x.split(self.size * _VIEWS_AT_ONCE), y.split(self.size * _VIEWS_AT_ONCE), strict=True):
                yield from zip(xs.split(self.size), ys.split(self.size), strict=True)

    def _epoch(self) -> Batch:
        x, y = self.rows.x, self.rows.y
        # All rows as they stand need no loader: the plain script's loop over epochs draws nothing.
        if self.batch_size is not None or self.shuffle:
            order = epoch_order(len(self.rows), self.shuffle)
            if order is not None:
                order = order[: self.samples_per_epoch].to(x.device)
                return x[order], y[order]
        return x[: self.samples_per_epoch], y[: self.samples_per_epoch]
