"""How far a run has come: what the loop knows besides the learner, and where the random streams stand.

With the learner's state it is all that the rest of the run depends on.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from exp.training.metrics import MetricSums


@dataclass
class TrainingState:
    """Of a run that has made `step` updates."""

    step: int = 0
    val_loss: float = math.inf  # of the latest evaluation
    best_loss: float = math.inf  # the lowest validation loss, and the step of it
    best_step: int = 0
    to_beat: float = math.inf  # the one that early stopping last called an improvement, and evaluations since
    waited: int = 0
    since_log: MetricSums | None = None

    def evaluated(self, loss: float, min_delta: float) -> bool:
        """Take note of a validation loss; whether none was lower so far."""
        self.val_loss = loss
        self.waited = 0 if loss < self.to_beat - min_delta else self.waited + 1
        if self.waited == 0:
            self.to_beat = loss
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            return True
        return False

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "TrainingState":
        plain = {key: value for key, value in state.items() if key != "since_log"}
        return cls(**plain, since_log=MetricSums.from_state(state["since_log"]) if state["since_log"] else None)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where torch's random streams stand: the CPU's, and that of a GPU in use."""
    streams = {"cpu": torch.get_rng_state()}
    return streams | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_random(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
