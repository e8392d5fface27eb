"""scheduler=coslog: cosine waves that become longer, the schedule of RealMLP (Holzmueller et al. 2024)."""

import math

from torch.optim import Optimizer

from exp.schedulers.over_run import OverRun


class CosLog(OverRun):
    """(1 - cos(2 pi log2(1 + (2^cycles - 1) t))) / 2: from 0 to 1 and back, `cycles` times.

    Args:
        optimizer, T_max, weight_decay, last_epoch: As in OverRun.
        cycles: The number of waves; each is twice as long as the one before.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        cycles: int = 4,
        weight_decay: str = "constant",
        last_epoch: int = -1,
    ) -> None:
        self.cycles = cycles
        super().__init__(optimizer, T_max, weight_decay, last_epoch)

    def factor(self, t: float) -> float:
        return 0.5 - 0.5 * math.cos(2 * math.pi * math.log2(1 + (2**self.cycles - 1) * t))
