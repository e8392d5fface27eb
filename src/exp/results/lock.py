"""A lock on a run folder, so that one process at a time writes there."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from exp.config.overrides import shell_line
from exp.errors import ConfigError, display_path

try:
    import fcntl
except ImportError:  # Windows, where folders are not locked
    fcntl = None


# Descriptors of the folders that the contexts around the caller have locked. Other threads have their own.
_held: ContextVar[tuple[int, ...]] = ContextVar("_held", default=())


@contextmanager
def folder_lock(folder: Path, timeout: float = 0.0, instead: str | None = None) -> Generator[None]:
    """Lock `folder` for this thread.

    The lock is released when the context exits or the process dies. Inside, the thread may lock the folder again: the
    command that holds the lock of its folder calls `run`. File systems without locks are not locked.

    Args:
        timeout: How many seconds to wait for another process.
        instead: What to type, if the command need not be in this folder.

    Raises:
        ConfigError: Another process or thread holds the lock, or has removed the folder.
    """
    if fcntl is None or _is_held(folder):
        yield
        return
    handle = _open_locked(folder, time.monotonic() + timeout, instead)
    try:
        token = _held.set((*_held.get(), handle))
        try:
            yield
        finally:
            _held.reset(token)
    finally:
        os.close(handle)


def _is_held(folder: Path) -> bool:
    handles = _held.get()
    return bool(handles) and any(os.path.samestat(os.fstat(handle), folder.stat()) for handle in handles)


def _open_locked(folder: Path, deadline: float, instead: str | None) -> int:
    """Return a descriptor of the folder that holds its lock."""
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            _lock(handle, folder, deadline, instead)
            if os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        except FileNotFoundError as error:
            os.close(handle)
            raise ConfigError(f"{folder} was removed by another process", "the same command again") from error
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # of a folder that was replaced meanwhile


def _lock(handle: int, folder: Path, deadline: float, instead: str | None) -> None:
    assert fcntl is not None
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            wait = f"wait for its end: {shell_line(['status', str(display_path(folder))])}"
            raise ConfigError(f"{folder} is in use by another process", instead or wait) from error
        except OSError:
            pass
        return
