"""What looks at a run and writes it down. A sink changes nothing of the run and draws none of its random numbers."""

from typing import Protocol

from exp.events import Ending, Event


class Sink(Protocol):
    def handle(self, event: Event) -> None:
        """Take note of an event; what does not concern the sink it passes over."""
        ...

    def close(self, ending: Ending) -> None:
        """Bring everything to the disk. Called once, however the run ended, even if no event ever came."""
        ...
