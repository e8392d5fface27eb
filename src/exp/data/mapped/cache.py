"""The folder of prepared datasets: a folder for each, named by a hash of what it is made of."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from exp.errors import DataError, format_bytes, pluralize

try:
    import fcntl
except ImportError:  # Windows, where two processes may prepare the same dataset
    fcntl = None

VARIABLE = "EXP_CACHE"

# What a dataset is made of, for people.
LABEL = "dataset.txt"
_LOCK, _UNFINISHED = ".lock", "unfinished-"

# The folder of compiled steps, which is listed and removed with the datasets.
COMPILED = "compiled"

# The name of the folder of a dataset, also of one that is being written or removed. EXP_CACHE may have other folders.
_ENTRY = re.compile(rf"(?:{_UNFINISHED})?(?P<key>[0-9a-f]{{32}}|{COMPILED})(?:-\w+)?")


@dataclass(frozen=True)
class Entry:
    """A prepared dataset: its folder, the key in its name, what it is made of, and its bytes on the disk."""

    folder: Path
    key: str
    label: str
    size: int


def cache_folder(create: bool = False) -> Path:
    """Return the folder of prepared datasets: EXP_CACHE, or exp in the user's folder of caches.

    Args:
        create: Whether to create it, for its owner only, if it does not exist.

    Raises:
        DataError: It cannot be created.
    """
    given, home = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME")
    if given:
        cache = Path(given).expanduser().absolute()
    else:
        cache = (Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache") / "exp"
    if create:
        with cache_errors(cache):
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cache


def find_or_write(content: str, label: str, write: Callable[[Path], None]) -> Path:
    """Return the folder of a dataset; if there is none, what `write` writes to a folder becomes it.

    One process writes, and others that need the same dataset wait for it. What a killed process left is removed.

    Args:
        content: All that the dataset depends on.
        label: What the dataset is made of, for people.
    """
    cache, key = cache_folder(create=True), hashlib.sha256(content.encode()).hexdigest()[:32]
    folder = cache / key
    if folder.is_dir():
        return folder
    with _lock(cache / f"{key}{_LOCK}"):
        for left in cache.glob(f"{_UNFINISHED}{key}-*"):
            shutil.rmtree(left, ignore_errors=True)
        if folder.is_dir():
            return folder
        with cache_errors(cache):  # only its owner may read it
            unfinished = Path(tempfile.mkdtemp(dir=cache, prefix=f"{_UNFINISHED}{key}-"))
        try:
            write(unfinished)
            (unfinished / LABEL).write_text(label, encoding="utf-8")
            unfinished.rename(folder)
        except BaseException as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if isinstance(error, OSError):
                if folder.is_dir():  # without locks: another process was faster
                    return folder
                _refuse_full_disk(error)
            raise
    return folder


def check_disk(needed: int, or_else: str = "") -> None:
    """Raise DataError if the disk of the cache has less than `needed` bytes; `or_else`: what else makes it enough."""
    cache = cache_folder(create=True)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise _disk_error(
            f"the prepared dataset needs at least {format_bytes(needed)} in {cache}, but {format_bytes(free)} are free",
            or_else,
        )


def allocate(handle: int, size: int) -> None:
    """Give the open file `handle` that many bytes on the disk. The system kills a process that maps more than it gets.

    Raises:
        DataError: The disk of the cache has less.
    """
    check_disk(size)
    if not hasattr(os, "posix_fallocate"):  # macOS
        os.ftruncate(handle, size)
        return
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:  # other processes write too
        _refuse_full_disk(error)
        raise


def _refuse_full_disk(error: OSError) -> None:
    """Raise DataError if the error says that the disk is full, or that a file is larger than it may be."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise _disk_error(f"the disk of {cache_folder()} became full while the dataset was prepared") from error
    if error.errno == errno.EFBIG:
        raise DataError(
            "dataset.storage=mapped: a file of the prepared dataset is larger than this process (ulimit -f) "
            f"or the disk of {cache_folder()} allows",
            f"ulimit -f unlimited, or {VARIABLE}=FOLDER of another disk",
        ) from error


def _disk_error(what: str, or_else: str = "") -> DataError:
    more = f", or {or_else}" if or_else else ""
    return DataError(
        f"dataset.storage=mapped: {what}", f"python -m exp cache clear, or {VARIABLE}=FOLDER of another disk{more}"
    )


@contextmanager
def cache_errors(cache: Path) -> Generator[None]:
    """Turn an OSError into one that names the folder, and the variable that names it or may name another one."""
    try:
        yield
    except OSError as error:
        place = f"{VARIABLE}: {cache}" if os.environ.get(VARIABLE) else f"the cache folder {cache}"
        reason = error.strerror
        if isinstance(error, FileExistsError | NotADirectoryError):
            reason = f"{next(one for one in (cache, *cache.parents) if one.exists())} is not a folder"
        what = f"{place} cannot be written: {reason}"
        raise DataError(what, f"{VARIABLE}=FOLDER that you may write to, or dataset.storage=memory") from error


def list_entries() -> list[Entry]:
    """Return the prepared datasets, the largest first, and what killed processes left."""
    cache = cache_folder()
    names = sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []
    entries = [_read_entry(cache / match[0], match["key"]) for match in map(_ENTRY.fullmatch, names) if match]
    return sorted(entries, key=lambda entry: -entry.size)


def _read_entry(folder: Path, key: str) -> Entry:
    label, size = "unfinished", 0
    with suppress(FileNotFoundError):
        label = (folder / LABEL).read_text(encoding="utf-8")
    with suppress(FileNotFoundError):  # another process renames the folder
        for file in folder.iterdir():
            size += file.stat().st_size
    return Entry(folder, key, label, size)


def clear() -> str:
    """Remove all prepared datasets, except those that are being written; return what was done."""
    cache, removed_entries, kept = cache_folder(), list[Entry](), 0
    for entry in list_entries():
        lock = cache / f"{entry.key}{_LOCK}"
        with _lock(lock, wait=False) as is_free:
            if not is_free:
                kept += 1
            elif entry.folder.is_dir():
                # In one move: a process that opens the dataset finds all of its files or none.
                removed = entry.folder.rename(tempfile.mkdtemp(dir=cache, prefix=f"{_UNFINISHED}{entry.key}-"))
                shutil.rmtree(removed)
                removed_entries.append(entry)
    rest = f"; {pluralize(kept, 'dataset')} in use by another process" if kept else ""
    return f"removed {summarize(removed_entries)}{rest}"


def summarize(entries: Sequence[Entry]) -> str:
    """Return how many datasets there are, whether compiled steps are there too, and their size."""
    datasets = [entry for entry in entries if entry.key != COMPILED]
    compiled = " and the compiled steps" if len(datasets) < len(entries) else ""
    return f"{pluralize(len(datasets), 'dataset')}{compiled}, {format_size(sum(entry.size for entry in entries))}"


def format_size(size: int) -> str:
    """1,234 MB, 56 kB, 0 MB."""
    return f"{size / 1e3:,.0f} kB" if 0 < size < 1e6 else f"{size / 1e6:,.0f} MB"


@contextmanager
def _lock(path: Path, wait: bool = True) -> Generator[bool]:
    """Lock the file for this process, and remove it at the end; yield whether it is locked."""
    while True:
        with cache_errors(path.parent):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            is_locked = _try_lock(handle, wait)
            if is_locked and not _is_at(path, handle):  # who held the lock before removed the file
                continue
            try:
                yield is_locked
            finally:
                if is_locked:
                    with suppress(OSError):  # on Windows an open file stays
                        path.unlink(missing_ok=True)
            return
        finally:
            os.close(handle)


def _try_lock(handle: int, wait: bool) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return True


def _is_at(path: Path, handle: int) -> bool:
    """Return whether the open file `handle` is the one at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
