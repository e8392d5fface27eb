"""Ctrl-C and SIGTERM: asked to stop, a run first saves where it stands; asked twice, it stops at once."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM, where KeyboardInterrupt alone is Ctrl-C."""


@contextmanager
def graceful_stop() -> Generator[Callable[[], bool]]:
    """While inside, a first signal only makes the given function say True. KeyboardInterrupt inside is of its kind.

    One that nobody stopped for is raised at the end: this was all but done, and what would come after must not begin.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread is told of signals
        return
    before = {which: signal.getsignal(which) for which in _STOP_SIGNALS}
    asked: list[int] = []

    def ask(which: int, frame: FrameType | None) -> None:
        del frame
        asked.append(which)
        if len(asked) > 1:
            raise KeyboardInterrupt

    for which in _STOP_SIGNALS:
        signal.signal(which, ask)
    try:
        yield lambda: bool(asked)
        if asked:
            raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        if signal.SIGTERM in asked:
            raise Terminated from error
        raise
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
