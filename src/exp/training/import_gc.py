"""No garbage collection while a process of exp imports its modules: it would take half a second.

Only the command and the workers of a sweep pause it. In a caller's process, such as a notebook, it is left alone.
"""

import gc
from collections.abc import Generator
from contextlib import contextmanager

_is_paused = False


@contextmanager
def gc_pause() -> Generator[None]:
    """Turn off garbage collection until `end_gc_pause()`, or until the context exits."""
    global _is_paused
    was_enabled = gc.isenabled()
    gc.disable()
    _is_paused = True
    try:
        yield
    finally:
        _is_paused = False
        if was_enabled:
            gc.enable()


def end_gc_pause() -> None:
    """Turn garbage collection on, without the objects that exist by now. Does nothing outside `gc_pause()`."""
    global _is_paused
    if _is_paused:
        _is_paused = False
        gc.freeze()
        gc.enable()
