"""The progress of a run.

Together with the states of the learner and of the random number generators it determines the rest of the run.
"""

from dataclasses import asdict, dataclass
from typing import Any

from exp.training.metrics import Column, MetricSums

# The keys of older checkpoints, when only the loss could be the metric.
_RENAMED = {"val_loss": "value", "best_loss": "best_value"}


@dataclass
class TrainingState:
    """The progress of a run after `step` updates. Its fields are keys of a checkpoint.

    Args:
        value: The metric of the validation rows, metric=, at the latest evaluation; None before the first one.
        best_value, best_step: The best such value, and its step.
        to_beat: The value that early stopping compares with: the last one that improved by `min_delta`.
        waited: Evaluations since `to_beat`.
        since_log: The training metrics since the last logged step: one window.
    """

    step: int = 0
    value: float | None = None
    best_value: float | None = None
    best_step: int = 0
    to_beat: float | None = None
    waited: int = 0
    since_log: MetricSums[Column] | None = None

    def record_validation(self, value: float, min_delta: float, higher_is_better: bool, on_tie: str) -> bool:
        """Record the metric of the validation rows; return whether it is the best so far.

        Args:
            on_tie: Whether the `first` or the `last` of equal values is the best.
        """
        sign = -1 if higher_is_better else 1
        self.value = value
        improved = self.to_beat is None or sign * value < sign * self.to_beat - min_delta
        self.waited = 0 if improved else self.waited + 1
        if improved:
            self.to_beat = value
        is_tie = value == self.best_value and on_tie == "last"
        if self.best_value is None or sign * value < sign * self.best_value or is_tie:
            self.best_value, self.best_step = value, self.step
            return True
        return False

    def to_dict(self) -> dict[str, Any]:
        since_log = None if self.since_log is None else asdict(self.since_log.window(0))
        return {**vars(self), "since_log": since_log}  # asdict(self) would copy each value

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrainingState":
        plain = {_RENAMED.get(key, key): value for key, value in content.items() if key != "since_log"}
        since_log = MetricSums.from_dict(content["since_log"]).as_window() if content["since_log"] else None
        return cls(**plain, since_log=since_log)
