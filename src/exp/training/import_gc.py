"""No garbage collection while a process of exp imports its modules: it would take half a second.

Only the command and the workers of a sweep pause it. In a caller's process, such as a notebook, it is left alone.
"""

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

_is_own_process = False


@contextmanager
def gc_pause() -> Generator[None]:
    """Turn off garbage collection until `end_gc_pause()`, or until the context exits."""
    global _is_own_process
    was_enabled = gc.isenabled()
    gc.disable()
    _is_own_process = True
    try:
        yield
    finally:
        _is_own_process = False
        if was_enabled:
            gc.enable()


def end_gc_pause() -> None:
    """Turn garbage collection on, without the objects that exist by now. Does nothing outside `gc_pause()`."""
    if _is_own_process and not gc.isenabled():
        gc.freeze()
        gc.enable()


@contextmanager
def late_imports() -> Generator[None]:
    """Pause garbage collection for imports after `end_gc_pause()`. Does nothing outside `gc_pause()`."""
    if not _is_own_process or not gc.isenabled():
        yield
        return
    count = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > count:
            gc.freeze()
        gc.enable()
