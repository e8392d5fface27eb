"""A run's folder belongs to one process at a time."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from exp.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows, where nothing is claimed
    fcntl = None


@contextmanager
def folder_lock(folder: Path, patience: float = 0.0) -> Generator[None]:
    """Hold `folder` while inside; a process that dies lets go of it. ConfigError if another holds it.

    `patience` is how many seconds that other is given. Where the file system knows no locks, nothing is claimed.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < until:
                    time.sleep(0.05)
                    continue
                raise ConfigError(
                    f"{folder}: another process is writing there, and two would mix",
                    "another folder: hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER of a sweep",
                ) from error
            except OSError:
                pass
            break
        yield
    finally:
        os.close(handle)
