"""The random stream of the plain PyTorch script: the same draws, from the same generator, in the same order.

A plain script seeds, splits, seeds again, builds its model, and then lets a DataLoader draw. Everything here uses
torch's default generator, as that script does, so dropout's noise falls in the same places too.
"""

import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Start torch's random streams, the CPU's and every GPU's, at `seed`."""
    torch.manual_seed(seed)


def split_order(n: int, seed: int) -> Tensor:
    """The order [n] in which `random_split` deals rows out right after `torch.manual_seed(seed)`."""
    seed_everything(seed)
    return torch.randperm(n)


def epoch_order(n: int, shuffle: bool) -> Tensor | None:
    """The order [n] in which a DataLoader would visit n rows in its next epoch; None: as they stand.

    Draws what the DataLoader draws: a seed for its workers, which nobody uses, and if it shuffles one for the order.
    """
    _draw()
    if not shuffle:
        return None
    generator = torch.Generator()
    generator.manual_seed(_draw())
    return torch.randperm(n, generator=generator)


def _draw() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())
