"""SinkGroup: send the events of a run to all its sinks, and close them however the run ends."""

from types import TracebackType

from exp.errors import Diverged, Pruned
from exp.training.events import Ending, Event, Sink


class SinkGroup:
    """Open sinks of one run, used as a context manager.

    Events reach the sinks in the order in which they were opened. On exit the sinks are closed in reverse order, each
    with the ending that the exception implies. A sink that cannot be closed turns a finished run into a failed one.
    """

    def __init__(self) -> None:
        self._sinks: list[Sink] = []

    def open(self, sink: Sink) -> None:
        """Add a sink. Earlier sinks are closed as failed if constructing this one raises."""
        self._sinks.append(sink)

    def handle(self, event: Event) -> None:
        for sink in self._sinks:
            sink.handle(event)

    def __enter__(self) -> "SinkGroup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del kind, traceback
        ending = _ending_after(error)
        failure: BaseException | None = None
        for sink in reversed(self._sinks):
            try:
                sink.close(ending)
            except BaseException as problem:  # also a second Ctrl-C: the remaining sinks must still be closed
                failure = failure or problem
                if ending.status == "finished" and not isinstance(problem, KeyboardInterrupt):
                    ending = Ending("failed", str(problem))
        if failure is not None and ending.status in ("finished", "failed"):
            raise failure


def _ending_after(error: BaseException | None) -> Ending:
    """Return the ending of a run that raised `error`, or that finished if it is None."""
    if error is None:
        return Ending("finished")
    if isinstance(error, KeyboardInterrupt):
        return Ending("interrupted")
    if isinstance(error, Diverged):
        return Ending("diverged", str(error))
    if isinstance(error, Pruned):
        return Ending("pruned")
    return Ending("failed", str(error) or type(error).__name__)
