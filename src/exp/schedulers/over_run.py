"""Learning rate schedules as a function of the part of the run that is over."""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class OverRun(LRScheduler):
    """Multiplies the initial learning rate of each group by `factor(t)`, with t from 0 at the start to 1 at the end.

    Args:
        optimizer: The optimizer.
        T_max: The number of steps of the schedule; afterwards t stays 1.
        last_epoch: The number of steps already made, minus 1.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, last_epoch: int = -1) -> None:
        self.T_max = T_max
        super().__init__(optimizer, last_epoch)

    def factor(self, t: float) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float | Tensor]:
        factor = self.factor(min(1.0, self.last_epoch / self.T_max))
        return [base * factor for base in self.base_lrs]
