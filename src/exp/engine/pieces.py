"""Cut a batch into pieces, whose gradients add up to those of the batch, so that one piece needs memory at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

# Rows x [P, ...] and y [P, ...] of a piece, and its share in the loss of the batch; None: it is the whole batch.
Piece: TypeAlias = tuple[Tensor, Tensor, Tensor | float | None]


@dataclass(frozen=True)
class Pieces:
    """Pieces of `rows` rows; the last one of a batch may be smaller.

    Args:
        weigh: Returns the weight [B] of each row of y [B, ...] in the loss; None if all weigh the same.
    """

    rows: int
    weigh: Callable[[Tensor], Tensor | None]

    def cut(self, x: Tensor, y: Tensor) -> Iterator[Piece]:
        """Yield the pieces of a batch, in order."""
        total = self._total_weight(y)
        for part_x, part_y in zip(torch.split(x, self.rows), torch.split(y, self.rows), strict=True):
            yield part_x, part_y, self._total_weight(part_y) / total

    def _total_weight(self, y: Tensor) -> Tensor | int:
        """Return the total weight of the rows in the loss."""
        weights = self.weigh(y)
        return len(y) if weights is None else weights.sum()
