"""Ctrl-C and SIGTERM: the first one requests that a run saves its state and stops, the second one stops it at once.

What has no state yet, such as a run whose rows are prepared, stops at the first one.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# The handlers of the contexts of graceful_stop that are open.
_recording: list[object] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM. A plain KeyboardInterrupt is Ctrl-C."""


def exit_code_of(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a process that was stopped: 143 by SIGTERM, 130 by Ctrl-C."""
    return 143 if isinstance(stop, Terminated) else 130


def find_stop(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the stop that was being handled when the error came up; None if there was none."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def describe_stop(stop: KeyboardInterrupt) -> str:
    """Return by what a process was stopped."""
    return f"stopped by {'SIGTERM' if isinstance(stop, Terminated) else 'Ctrl-C'}"


@contextmanager
def raising_sigterm() -> Generator[None]:
    """Raise Terminated at a SIGTERM inside the context, which would end the process at once, without its last word."""

    def stop(which: int, frame: FrameType | None) -> None:
        del which, frame
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Whether a stop was requested, when it is called."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.raises = False

    def __call__(self) -> bool:
        return bool(self.received)

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Raise KeyboardInterrupt at a first signal inside the context too, or before it: there is nothing to save."""
        self.raises = True
        try:
            if self.received:
                raise KeyboardInterrupt
            yield
        finally:
            self.raises = False


@contextmanager
def graceful_stop() -> Generator[StopRequest]:
    """Yield an object that returns whether a stop was requested.

    A first signal inside the context is only recorded, also by a context around it: a sweep that trains in this process
    knows which signal stopped its job. Outside the main thread signals are not handled.

    Raises:
        KeyboardInterrupt: A second signal came, or the body ended without having stopped for the first one.
        Terminated: The same, after a SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()  # Python runs signal handlers in the main thread only
        return
    previous = {which: signal.getsignal(which) for which in _STOP_SIGNALS}
    request = StopRequest()
    received = request.received

    def handle(which: int, frame: FrameType | None) -> None:
        received.append(which)
        outer = previous[signal.Signals(which)]
        if outer in _recording and callable(outer):
            outer(which, frame)
        if len(received) > 1 or request.raises:
            raise KeyboardInterrupt

    _recording.append(handle)
    for which in _STOP_SIGNALS:
        signal.signal(which, handle)
    try:
        yield request
        if received:
            raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        if signal.SIGTERM in received:
            raise Terminated from error
        raise
    finally:
        _recording.remove(handle)
        for which, handler in previous.items():
            signal.signal(which, handler)
