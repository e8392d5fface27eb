"""Write a file or folder whole or not at all: a reader, or a crash, finds the old content or the new, no part of it."""

import os
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacement(path: Path, *, sync: bool = False, keep: Path | None = None, shared: bool = False) -> Generator[Path]:
    """Yield a temporary path in the folder of `path`; when the context exits, what was written there becomes `path`.

    If the context raises, the temporary file is removed and `path` is unchanged. An OSError of the temporary file
    names `path`.

    Args:
        sync: Wait until the content is on the disk before it becomes `path`.
        keep: Where the previous content of `path` is kept.
        shared: Several processes may replace `path` at the same time.
    """
    temporary = path.with_suffix(f".{os.getpid()}.tmp" if shared else ".tmp")
    temporary.unlink(missing_ok=True)  # a link there would send the content elsewhere
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                _sync(file)
        if keep is not None and path.exists():
            _keep(path, keep)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)
        raise


@contextmanager
def moved_together(path: Path) -> Generator[Path]:
    """Yield a path of the name of `path`, for a new file, its companions, or a folder.

    It is in a temporary folder, and all that was written there is moved to the folder of `path` when the context exits:
    `path` last. If the context raises, nothing is moved. An OSError names the place that was meant.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=".exp.", dir=path.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    with folder as temporary:
        place = Path(temporary, path.name)
        try:
            yield place
            for written in sorted(Path(temporary).iterdir(), key=lambda one: one == place):
                written.replace(path.with_name(written.name))
        except OSError as error:
            if error.filename:
                error.filename = str(Path(str(error.filename).replace(str(place.parent), str(path.parent), 1)))
            raise


def sync_together(files: Sequence[IO[Any]]) -> None:
    """Wait until the content of open files, flushed, is on the disk: at the same time, because each takes milliseconds.

    It does not matter whether a file was deleted since it was opened. An OSError has the name of its file.
    """
    first, *others = files
    waiting = [_threads(os.getpid()).submit(_sync, file) for file in others]
    try:
        _sync(first)
    finally:
        wait(waiting)
    for other in waiting:
        other.result()


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:
    """Return the threads of this process, whose id is `pid`: to start some for each run takes a millisecond."""
    del pid
    return ThreadPoolExecutor(3)


def _sync(file: IO[Any]) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file.name)) from error


def _keep(path: Path, keep: Path) -> None:
    """Make `keep` the file at `path`, which stays: a process that is killed now leaves a `path`."""
    link = keep.with_suffix(".link.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # the file system has no hard links
        path.replace(keep)
    else:
        link.replace(keep)
        link.unlink(missing_ok=True)  # it is still there if `keep` already was the file at `path`
