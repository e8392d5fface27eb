"""scheduler=flat_cosine: constant, then a cosine decay to 0."""

from torch.optim import Optimizer

from exp.schedulers.over_run import OverRun, flat_cosine


class FlatCosine(OverRun):
    """1 for the first part `flat` of the run, then half a cosine wave to 0.

    Args:
        optimizer, T_max, weight_decay, last_epoch: As in OverRun.
        flat: The part of the run with the initial learning rate, from 0 to 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        flat: float = 0.5,
        weight_decay: str = "constant",
        last_epoch: int = -1,
    ) -> None:
        self.flat = flat
        super().__init__(optimizer, T_max, weight_decay, last_epoch)

    def factor(self, t: float) -> float:
        return flat_cosine(t, self.flat)
