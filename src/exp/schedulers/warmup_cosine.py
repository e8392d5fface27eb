"""scheduler=warmup_cosine: a linear warm-up, then a cosine decay to 0."""

from torch.optim import Optimizer

from exp.schedulers.over_run import OverRun, flat_cosine


class WarmupCosine(OverRun):
    """t / warmup for the first part `warmup` of the run, then half a cosine wave to 0.

    Args:
        optimizer, T_max, weight_decay, last_epoch: As in OverRun.
        warmup: The part of the run in which the learning rate grows, from 0 to 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        warmup: float = 0.1,
        weight_decay: str = "constant",
        last_epoch: int = -1,
    ) -> None:
        self.warmup = warmup
        super().__init__(optimizer, T_max, weight_decay, last_epoch)

    def factor(self, t: float) -> float:
        if t < self.warmup:
            return t / self.warmup
        return flat_cosine(t, self.warmup)
