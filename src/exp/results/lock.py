"""A lock on a run folder, so that one process at a time writes there."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from exp.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows, where folders are not locked
    fcntl = None


@contextmanager
def folder_lock(folder: Path, timeout: float = 0.0) -> Generator[None]:
    """Lock `folder` for this process.

    The lock is released when the context exits or the process dies. File systems without locks are not locked.

    Raises:
        ConfigError: Another process still holds the lock after `timeout` seconds, or has removed the folder.
    """
    if fcntl is None:
        yield
        return
    handle = _open_locked(folder, time.monotonic() + timeout)
    try:
        yield
    finally:
        os.close(handle)


def _open_locked(folder: Path, deadline: float) -> int:
    """Return a descriptor of the folder that holds its lock."""
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            _lock(handle, folder, deadline)
            if os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        except FileNotFoundError as error:
            os.close(handle)
            raise ConfigError(f"{folder} was removed by another process", "the same command again") from error
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # of a folder that was replaced meanwhile


def _lock(handle: int, folder: Path, deadline: float) -> None:
    assert fcntl is not None
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise ConfigError(
                f"{folder} is in use by another process",
                "hydra.run.dir=ANOTHER_FOLDER, or hydra.sweep.dir=ANOTHER_FOLDER for a sweep",
            ) from error
        except OSError:
            pass
        return
