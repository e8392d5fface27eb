"""The random numbers of the plain PyTorch script: the same draws from the same generator in the same order.

A plain script seeds, splits the rows, seeds again, builds its model, and then iterates over a DataLoader. Like that
script, everything here uses torch's default generator, so dropout draws the same noise too.
"""

import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed torch's random generators of the CPU and all GPUs."""
    torch.manual_seed(seed)


def split_order(n: int, seed: int) -> Tensor:
    """Return the order [n] in which `random_split` assigns rows after `torch.manual_seed(seed)`. Seeds torch."""
    seed_everything(seed)
    return torch.randperm(n)


def epoch_order(n: int, shuffle: bool) -> Tensor | None:
    """Return the order [n] in which a DataLoader would visit n rows in its next epoch; None: unchanged.

    Draws the same numbers as the DataLoader: a seed for its workers (unused), and with `shuffle` a seed for the order.
    """
    _draw()
    if not shuffle:
        return None
    generator = torch.Generator()
    generator.manual_seed(_draw())
    return torch.randperm(n, generator=generator)


def _draw() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())
