"""FlushTimer: when a sink must write out the rows that it holds in memory."""

import math
import time

from exp.training.events import Evaluated, Event, Snapshot, Trained

# How long a row may be in memory only.
_MAX_SECONDS = 0.2

# Evaluations that follow each other faster than this are many. After a slower one the next may take minutes.
_SECONDS_BETWEEN_MANY = 0.02


class FlushTimer:
    """Tells a sink whether to write out what it holds, after each event.

    Training steps wait for the next evaluation, and evaluations that come many a second for one another, but none of
    them longer than 0.2 s. Every other event is due at once.
    """

    def __init__(self) -> None:
        self._flushed = self._evaluated = -math.inf

    def is_due(self, event: Event) -> bool:
        """Return whether to write out now. Call it once for each event."""
        now = time.monotonic()
        if isinstance(event, Evaluated):
            may_wait, self._evaluated = now - self._evaluated < _SECONDS_BETWEEN_MANY, now
        else:
            may_wait = isinstance(event, Trained) or (isinstance(event, Snapshot) and event.best)
        if may_wait and now - self._flushed < _MAX_SECONDS:
            return False
        self._flushed = now
        return True
