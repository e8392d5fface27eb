"""scheduler=flat_cosine: constant, then a cosine decay to 0."""

import math

from torch.optim import Optimizer

from exp.schedulers.over_run import OverRun


class FlatCosine(OverRun):
    """1 for the first part `flat` of the run, then half a cosine wave to 0.

    Args:
        optimizer, T_max, last_epoch: As in OverRun.
        flat: The part of the run with the initial learning rate, from 0 to 1.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, flat: float = 0.5, last_epoch: int = -1) -> None:
        self.flat = flat
        super().__init__(optimizer, T_max, last_epoch)

    def factor(self, t: float) -> float:
        if t <= self.flat:
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * (t - self.flat) / (1 - self.flat))
