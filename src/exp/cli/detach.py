"""`sweep.detach=true`: a process of its own runs the sweep, and the command returns when the sweep has begun."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict, read_write

from exp.config.compose import typed_words
from exp.config.overrides import override_key, shell_line, text_override
from exp.errors import ConfigError, display_path
from exp.results import new_folder, sweep_json
from exp.results.lock import folder_lock
from exp.results.resume_line import describe_resume
from exp.results.run_folder import SWEEP_LOG, is_sweep

# Names the folder of the sweep to the process that runs it.
_FOLDER = "EXP_DETACHED_SWEEP"

# Read when this module is imported, before there are workers, whose jobs may run `exp` themselves.
_given = [folder] if (folder := os.environ.pop(_FOLDER, None)) else []

_POLL_SECONDS = 0.05


class Detach(BaseException):
    """Carries the folder of a sweep to detach through Hydra, which swallows exceptions of callbacks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


def take_folder(config: DictConfig) -> bool:
    """Set the folder that the command gave to this process. Return False if this process was not started for it."""
    if not _given:
        return False
    folder = _given.pop()
    override = text_override("hydra.sweep.dir", folder)
    typed = [word for word in typed_words(config.hydra.overrides.hydra) if override_key(word) != "hydra.sweep.dir"]
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = folder
        config.hydra.overrides.hydra = [*typed, override]  # of which the jobs are composed
    return True


def start_detached(arguments: Sequence[str], folder: Path) -> int:
    """Run `exp` with `arguments` in a new session, whose output goes to `folder`/sweep.log, and wait until it begins.

    Returns:
        The exit code: 0 once the first job may begin. If the sweep does not begin, the output is printed, and what was
        written is removed.

    Raises:
        OSError: The folder or its log cannot be written.
    """
    new = new_folder.create(folder)
    log = folder / SWEEP_LOG
    try:
        with log.open("ab") as file:
            start = file.tell()
    except OSError:
        new_folder.remove_empty(new)
        raise
    to_log = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_APPEND, 0o666)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "exp", *arguments],
        {**os.environ, _FOLDER: str(folder.absolute()), "PYTHONUNBUFFERED": "1"},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), to_log, (os.POSIX_SPAWN_DUP2, 1, 2)],
        setsid=True,
    )
    try:
        code = _wait(pid, folder)
    except BaseException:  # Ctrl-C: the sweep has not begun
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        _remove(log, start, new)
        raise
    if code is None:
        _print_how_to_follow(pid, folder)
        return 0
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    if not text and code:  # a full disk lets files be opened, and takes nothing
        text = (
            f"exp: the sweep ended with code {code}, and wrote nothing to {display_path(log)}\n"
            "  try: sweep.detach=false, which prints the reason\n"
        )
    (sys.stderr if code else sys.stdout).write(text)
    if code and not _has_begun(pid, folder):
        _remove(log, start, new)
    return code


def _wait(pid: int, folder: Path) -> int | None:
    """Return None once the sweep has begun, or the exit code of a process that ended before."""
    while not _has_begun(pid, folder):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_SECONDS)
    return None


def _has_begun(pid: int, folder: Path) -> bool:
    """Return whether the process has checked the jobs and written the record of the sweep."""
    process: dict[str, Any] = sweep_json.read(folder).get("process", {})
    return process.get("pid") == pid and is_sweep(folder)


def _print_how_to_follow(pid: int, folder: Path) -> None:
    shown = display_path(folder)
    print(f"folder    {shown}")
    print(f"log       {shown / SWEEP_LOG}")
    print(f"follow    {shell_line(['status', str(shown)])}")
    print(f"stop      kill {pid}")
    print(f"resume    {describe_resume(shown)}")


def _remove(log: Path, start: int, folders: Sequence[Path]) -> None:
    """Remove what was written to the log, and the folders that are empty, unless another sweep uses them."""
    with suppress(OSError, ConfigError), folder_lock(log.parent):
        os.truncate(log, start)
        if start == 0:
            log.unlink()
        new_folder.remove_empty(folders)
