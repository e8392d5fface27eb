"""Whether the process that writes a folder is alive: its record, its heartbeat, and the one function that decides.

A process that is killed cannot write that it ended, so the reader decides. On the machine of the process, the reader
checks the process. On another machine, the process is alive while its heartbeat, the time of a file, is recent.
"""

import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from exp.config.overrides import shell_line
from exp.errors import ConfigError

# A thread of the process touches its file this often.
SECONDS_BETWEEN_BEATS = 30.0

# A process on another machine counts as dead if its heartbeat is older. File servers may show a time a minute late.
MAX_SECONDS_WITHOUT_BEAT = 300.0

# The states of a process in /proc that has ended.
_ENDED = ("Z", "X", "x")


def describe_process(pid: int | None = None) -> dict[str, Any]:
    """Return what identifies a process of this machine, by default this one.

    `began` is now. `start_ticks`, the time of its start, tells it from a later process with its id. Ids are unique in a
    `pid_namespace` (a container has its own) until the machine boots, which changes `boot_id`.
    """
    pid = os.getpid() if pid is None else pid
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "began": datetime.now().astimezone().isoformat(timespec="seconds"),
        **_read_place(os.getpid()),
        "start_ticks": _read_own_start(pid) if pid == os.getpid() else _read_start(pid),
    }


def is_alive(process: object, touched: Path) -> bool:
    """Return whether the process that `describe_process` described is alive.

    Args:
        process: The record. Without one, as in a folder of an older version, the process counts as dead.
        touched: The file that a `Heartbeat` of the process touches.
    """
    if not isinstance(process, dict) or "pid" not in process:
        return False
    known = cast("dict[str, Any]", process)
    if is_here(known):
        start = _read_start(known["pid"])
        return start is not None and start == known.get("start_ticks")
    return seconds_since_beat(touched) <= MAX_SECONDS_WITHOUT_BEAT


def is_here(process: Mapping[str, Any]) -> bool:
    """Return whether the id of the process means the same here. False also where this is not known."""
    place = _read_place(os.getpid())
    return None not in place.values() and all(process.get(key) == value for key, value in place.items())


def is_own(process: Mapping[str, Any]) -> bool:
    """Return whether the record describes this process."""
    own = describe_process()
    return all(process.get(key) == own[key] for key in ("pid", "boot_id", "pid_namespace", "start_ticks"))


def refuse_other_process(folder: Path, process: object, touched: Path) -> None:
    """Raise ConfigError if another process, also on another machine where no lock may reach, writes `folder`.

    `is_alive` describes the other arguments.
    """
    if not is_alive(process, touched) or is_own(known := cast("dict[str, Any]", process)):
        return
    minutes = f"{MAX_SECONDS_WITHOUT_BEAT / 60:.0f} minutes"
    late = "" if is_here(known) else f"; without a heartbeat for {minutes} the process counts as dead"
    raise ConfigError(
        f"{folder} is running: process {known.get('pid')} on {known.get('host')}",
        f"wait for its end: {shell_line(['status', str(folder)])}{late}",
    )


def describe_death(process: object) -> str:
    """Return the error of a run whose process, by its record, is gone."""
    known = cast("dict[str, Any]", process) if isinstance(process, dict) else {}
    which = f" {known['pid']} on {known['host']}" if {"pid", "host"} <= known.keys() else ""
    return f"its process{which} is gone: it was killed, its disk was full, or the machine stopped"


def seconds_since_beat(touched: Path) -> float:
    """Return the age of the heartbeat; infinity if the file does not exist."""
    try:
        return max(0.0, time.time() - touched.stat().st_mtime)
    except OSError:
        return float("inf")


class Heartbeat:
    """Touches `path` every SECONDS_BETWEEN_BEATS, also during a long step, until `stop` is called.

    One thread does so for all heartbeats of a process: to start one for each job of a sweep, and to wake it at the
    end, takes a millisecond. It ends when it finds none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _lock:
            _beating.append(self)
            if not any(thread.is_alive() for thread in _threads):
                _threads[:] = [threading.Thread(target=_beat, daemon=True)]
                _threads[0].start()

    def stop(self) -> None:
        with _lock:
            _beating.remove(self)


_lock = threading.Lock()
_beating: list[Heartbeat] = []
_threads: list[threading.Thread] = []  # the one that beats, if there is one


def _beat() -> None:
    while True:
        time.sleep(SECONDS_BETWEEN_BEATS)
        with _lock:
            if not _beating:
                _threads.clear()
                return
            paths = [beat.path for beat in _beating]
        for path in paths:
            with suppress(OSError):  # the folder was removed, or its disk is gone: the run itself reports it
                os.utime(path)


@lru_cache(maxsize=1)
def _read_place(pid: int) -> dict[str, str | None]:
    """Return where the ids of processes mean the same as here: in this process, whose id is `pid`.

    The values are None on systems without /proc.
    """
    del pid
    place: dict[str, str | None] = {"boot_id": None, "pid_namespace": None}
    with suppress(OSError):
        place["boot_id"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        place["pid_namespace"] = os.readlink("/proc/self/ns/pid")
    return place


@lru_cache(maxsize=1)
def _read_own_start(pid: int) -> int | None:
    """Return the start of this process, whose id is `pid`."""
    return _read_start(pid)


def _read_start(pid: object) -> int | None:
    """Return the start of a process, in ticks since the machine booted; None if it has ended."""
    try:
        # The name of the program is in parentheses, and may contain some itself.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = text.rpartition(")")[2].split()
        return None if state in _ENDED else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
