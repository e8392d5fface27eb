"""Batches of equal size, which are copied from the rows when they are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

Batch: TypeAlias = tuple[Tensor, Tensor]

# Bytes. torch aligns new tensors to this; matrix products may round differently for other alignments.
_ALIGNMENT = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows x [N, F] and y [N, ...], and an order [n * B] of their numbers: that of the rows of n batches.

    Without an order, x [n, B, F] and y [n, B, ...] are the batches.
    """

    x: Tensor
    y: Tensor
    order: Tensor | None
    batch_size: int
    _repeated: dict[int, Tensor] = field(default_factory=dict[int, Tensor])  # targets of so many equal batches

    def flatten_targets(self, start: int, end: int) -> Tensor:
        """Return the targets [n * B, ...] of the batches from `start` to `end`."""
        y = self.batches[1]
        if y.stride(0) or len(y) == 1:
            return y[start:end].flatten(0, 1)
        if end - start not in self._repeated:
            self._repeated.clear()
            self._repeated[end - start] = y[start:end].flatten(0, 1)
        return self._repeated[end - start]

    @property
    def are_copied(self) -> bool:
        """Whether batches have been asked for."""
        return "batches" in vars(self)

    @cached_property
    def batches(self) -> Batch:
        """The batches. They are copies, because a model may write to its input."""
        if self.order is None:
            return self.x, self.y
        with torch.inference_mode(False):  # the eager step needs tensors that autograd accepts
            x, y = (rows.index_select(0, self.order) for rows in (self.x, self.y))
            return cut(x, self.batch_size), cut(y, self.batch_size)


@dataclass(frozen=True, eq=False)
class Stack:
    """Batches of equal size in order: those of `rows` from `start` to `end`."""

    rows: Rows
    start: int
    end: int

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> "Stack":
        """Return the batches x [n, B, F] and y [n, B, ...]."""
        return cls(Rows(x, y, None, y.size(1)), 0, y.size(0))

    @classmethod
    def of_rows(cls, x: Tensor, y: Tensor, order: Tensor, batch_size: int) -> "Stack":
        """Return the batches of rows x [N, F] and y [N, ...] in an order [n * batch_size]."""
        return cls(Rows(x, y, order, batch_size), 0, order.size(0) // batch_size)

    def __len__(self) -> int:
        return self.end - self.start

    def __iter__(self) -> Iterator[Batch]:
        return zip(self.x.unbind(), self.y.unbind(), strict=True)

    @property
    def x(self) -> Tensor:
        """The features [n, B, F]."""
        return self.rows.batches[0][self.start : self.end]

    @property
    def y(self) -> Tensor:
        """The targets [n, B, ...]."""
        return self.rows.batches[1][self.start : self.end]

    @property
    def order(self) -> Tensor | None:
        """The order [n * B] of the rows, if they have one."""
        size, order = self.rows.batch_size, self.rows.order
        if order is None or len(self) * size == order.size(0):
            return order
        return order[self.start * size : self.end * size]

    @property
    def targets(self) -> Tensor:
        """The targets of all rows [n * B, ...], without copying batches."""
        order = self.order
        if order is None or self.rows.are_copied:
            return self.rows.flatten_targets(self.start, self.end)
        return self.rows.y.index_select(0, order)

    @property
    def batch_size(self) -> int:
        return self.rows.batch_size

    def singles(self) -> "Iterator[Stack]":
        """Yield a stack of each batch."""
        return (Stack(self.rows, at, at + 1) for at in range(self.start, self.end))

    def split(self, count: int) -> "tuple[Stack, Stack]":
        """Return the first `count` batches and the rest, which share the copies of batches with this stack."""
        middle = min(self.start + count, self.end)
        return Stack(self.rows, self.start, middle), Stack(self.rows, middle, self.end)


def cut(rows: Tensor, size: int) -> Tensor:
    """Return new rows [n * size, ...] in batches [n, size, ...], each aligned in memory like a new tensor.

    Plain views are not aligned, and their losses would differ from those of the plain script, whose DataLoader copies
    every batch: test_every_dataset_with_every_loss_in_every_mode.
    """
    count, shape = rows.size(0) // size, (size, *rows.shape[1:])
    own, step = rows.numel() // count, _ALIGNMENT // rows.element_size()
    padded = -(-own // step) * step  # values between the starts of two batches
    is_aligned = rows.data_ptr() % _ALIGNMENT == 0 and (own == padded or count == 1)
    aligned = rows if is_aligned else rows.new_empty(count, padded)[:, :own].copy_(rows.reshape(count, own))
    return aligned.view(count, *shape)
