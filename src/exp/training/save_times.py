"""When the state of a run is saved: at steps at which a save is due, if the last one is long enough ago."""

import time

from exp.training.plan import Plan


class SaveTimes:
    """Knows when the last save was."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._saved_at = time.monotonic()

    def start(self) -> None:
        """Begin to wait: training starts, or the state was saved."""
        self._saved_at = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Return whether a save is due, and the last one is long enough ago; always at the last step of the plan."""
        return self._plan.is_due(self._plan.save, step) and (self._seconds_left() <= 0 or step == self._plan.steps)

    def next_from(self, step: int, steps_per_second: float) -> int:
        """Return the step at which the last save is long enough ago, if that many steps are made in a second."""
        return step + int(max(0.0, self._seconds_left()) * steps_per_second)

    def _seconds_left(self) -> float:
        return self._plan.min_seconds_between_saves - (time.monotonic() - self._saved_at)
