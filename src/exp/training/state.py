"""The progress of a run.

Together with the states of the learner and of the random number generators it determines the rest of the run.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from exp.training.metrics import MetricSums


@dataclass
class TrainingState:
    """The progress of a run after `step` updates. Its fields are keys of a checkpoint.

    Args:
        val_loss: The validation loss of the latest evaluation.
        best_loss, best_step: The lowest validation loss, and its step.
        to_beat: The loss that early stopping compares with: the last one that improved by `min_delta`.
        waited: Evaluations since `to_beat`.
        since_log: The training metrics since the last logged step.
    """

    step: int = 0
    val_loss: float = math.inf
    best_loss: float = math.inf
    best_step: int = 0
    to_beat: float = math.inf
    waited: int = 0
    since_log: MetricSums | None = None

    def record_validation(self, loss: float, min_delta: float) -> bool:
        """Record a validation loss; return whether it is the lowest so far."""
        self.val_loss = loss
        self.waited = 0 if loss < self.to_beat - min_delta else self.waited + 1
        if self.waited == 0:
            self.to_beat = loss
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            return True
        return False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrainingState":
        plain = {key: value for key, value in content.items() if key != "since_log"}
        return cls(**plain, since_log=MetricSums.from_dict(content["since_log"]) if content["since_log"] else None)
