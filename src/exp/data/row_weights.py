"""Weights of rows, as the last column of the targets that a loss gets."""

import torch
from torch import Tensor


def pack(y: Tensor, weights: Tensor) -> Tensor:
    """Return targets [N, K + 1], float32, with `weights` [N] as the last column.

    Args:
        y: Class numbers int64 [N], or values float32 [N, K].
    """
    columns = y.float().unsqueeze(1) if y.ndim == 1 else y
    return torch.cat([columns, weights.unsqueeze(1)], dim=1)


def unpack(target: Tensor, has_class_numbers: bool) -> tuple[Tensor, Tensor]:
    """Return the targets and weights that `pack` joined.

    Both are contiguous: of strided tensors, torch may compute other bits.
    """
    y = target[:, 0].long() if has_class_numbers else target[:, :-1].contiguous()
    return y, target[:, -1].contiguous()
