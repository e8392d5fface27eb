"""A run's folder belongs to one process at a time."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from exp.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows, where nothing is claimed
    fcntl = None


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Hold `folder` while inside; a process that dies lets go of it. ConfigError if another holds it.

    Where the file system knows no locks, nothing is claimed.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"{folder}: another process is writing its run there, and two would mix", "hydra.run.dir=ANOTHER_FOLDER"
            ) from error
        except OSError:
            pass
        yield
    finally:
        os.close(handle)
