"""Learning rate schedules as a function of the part of the run that is over."""

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def flat_cosine(t: float, flat: float) -> float:
    """Return 1 up to t = `flat`, then a cosine that falls to 0 at t = 1."""
    return 1.0 if t <= flat or flat == 1 else 0.5 + 0.5 * math.cos(math.pi * (t - flat) / (1 - flat))


class OverRun(LRScheduler):
    """Multiplies the initial learning rate of each group by `factor(t)`, with t from 0 at the start to 1 at the end.

    Args:
        optimizer: The optimizer.
        T_max: The number of steps of the schedule; afterwards t stays 1.
        weight_decay: The schedule of the weight decay: `constant`, or `flat_cosine`, which is 1 for the first half of
            the run and then falls to 0 as a cosine.
        last_epoch: The number of steps already made, minus 1.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, weight_decay: str = "constant", last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.weight_decay = weight_decay
        if weight_decay == "flat_cosine":
            for group in optimizer.param_groups:
                if "weight_decay" in group:  # not all optimizers have it
                    group.setdefault("initial_weight_decay", group["weight_decay"])
        super().__init__(optimizer, last_epoch)

    def factor(self, t: float) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float | Tensor]:
        factor = self.factor(self._t)
        return [base * factor for base in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.weight_decay == "flat_cosine":
            for group in self.optimizer.param_groups:
                if "initial_weight_decay" in group:
                    group["weight_decay"] = group["initial_weight_decay"] * flat_cosine(self._t, 0.5)

    @property
    def _t(self) -> float:
        return min(1.0, self.last_epoch / self.T_max)
