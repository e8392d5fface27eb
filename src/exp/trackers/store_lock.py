"""Let one process at a time open a store, because the first one creates its tables."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def store_lock(path: Path | None) -> Generator[None]:
    """Wait until no other process has the file at `path` locked; None: a store that needs no lock."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
