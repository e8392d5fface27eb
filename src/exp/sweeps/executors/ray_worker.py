"""RayWorker: the actor that runs jobs on a node of a Ray cluster, in a worker process like those of a local sweep.

The process has neither Ray's environment variables nor its threads, so a job has the bits of the same run on its own.
"""

import glob
import io
import os
import platform
import shutil
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from exp.data.input_files import DATA_PATHS
from exp.results.atomic import replacement
from exp.sweeps.executors.worker_process import WorkerDied, WorkerProcess
from exp.sweeps.task import Assignment, Evaluation, Outcome, Task

# Variables that Ray sets for an actor. Torch would take its number of threads from the first one.
_OF_RAY = ("OMP_NUM_THREADS", "PYTHONBREAKPOINT", "SPT_NOENV")


# How long a file written on one machine may take to appear on another one.
_MAX_FILE_DELAY = 3.0


@dataclass(frozen=True)
class Node:
    """What a worker found on its node."""

    shares_files: bool  # whether the folder of the sweep is the same as on the driver's machine
    versions: Mapping[str, str | None]


@dataclass(frozen=True)
class Death:
    """The worker process ended while it had a task."""

    reason: str


@dataclass(frozen=True)
class Reply:
    """A message of the worker process, and the files of the run if the driver does not see them."""

    message: Evaluation | Outcome | Death
    files: bytes | None = None


def read_versions() -> dict[str, str | None]:
    """Return the versions that must be the same on all nodes."""
    return {name: _version(name) for name in ("exp", "torch")}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class RayWorker:
    """Holds one worker process.

    Args:
        environment: Variables of the driver that the process gets.
        cwd: The current folder of the driver.
        token: A file in the folder of the sweep, and its content.
    """

    def __init__(self, environment: Mapping[str, str], cwd: Path, token: tuple[Path, str]) -> None:
        self._cwd = cwd
        self._scratch = None if _has_content(*token) else Path(tempfile.mkdtemp(prefix="exp-"))
        self._run: Path | None = None  # the folder, on the driver, of the run whose files are here
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name not in _OF_RAY}
        self._process = WorkerProcess({**own, **environment}, self._scratch or cwd)

    def describe(self) -> Node:
        return Node(self._scratch is None, read_versions())

    def exchange(self, message: Assignment | bool, files: bytes | None) -> Reply:
        """Send a message to the worker process, and return the reply.

        Args:
            files: The files of the run as the driver has them, if this node does not see them.
        """
        if self._scratch is not None and isinstance(message, Assignment) and isinstance(message.task, Task):
            self._run = None
            if (missing := _describe_missing_file(message.task)) is not None:
                return Reply(Outcome(missing))
            write_files(self._run_folder, files or b"")
            self._run = message.task.spec.folder
            message = replace(message, task=_move(message.task, self._cwd / message.task.spec.folder, self._run_folder))
        try:
            reply = self._process.exchange(message)
        except WorkerDied as death:
            return Reply(Death(str(death)))
        is_ended = self._scratch is not None and isinstance(reply, Outcome)
        return Reply(reply, read_files(self._run_folder) if is_ended else None)

    def read_files(self, run: Path) -> bytes | None:
        """Return the files of the run as they are now; None if those of an earlier one may still be here.

        Ray may call this before `exchange` that gives the run, whose files take longer to arrive.
        """
        return read_files(self._run_folder) if self._run == run else None

    def interrupt(self) -> None:
        self._process.interrupt()

    def close(self) -> None:
        self._process.kill()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def _run_folder(self) -> Path:
        assert self._scratch is not None
        return self._scratch / "run"


def _has_content(path: Path, content: str) -> bool:
    """Return whether the file at `path` has that content, or gets it soon."""
    deadline = time.monotonic() + _MAX_FILE_DELAY
    while True:
        try:
            if path.read_text(encoding="utf-8") == content:
                return True
        except OSError:
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def _describe_missing_file(task: Task) -> str | None:
    """Return what is wrong if a data file of the run is not on this node."""
    for key in DATA_PATHS:
        path = task.spec.config.dataset.get(key.partition(".")[2])
        if isinstance(path, str) and not (os.path.isabs(path) and (os.path.exists(path) or glob.glob(path))):
            return (
                f"{key}={path}: not on the node {platform.node()}, which does not share the folder of the sweep "
                "(an absolute path of a file that every node has, or a sweep in a shared folder)"
            )
    return None


def _move(task: Task, former: Path, folder: Path) -> Task:
    """Return the task with another run folder."""
    old = str(former)

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: move(inner) for key, inner in cast("dict[str, Any]", value).items()}
        is_inside = isinstance(value, str) and (value == old or value.startswith(f"{old}{os.sep}"))
        return f"{folder}{value[len(old) :]}" if is_inside else value

    resume = task.spec.config.resume and str(folder)
    spec = replace(task.spec, folder=folder, config=replace(task.spec.config, resume=resume))
    return replace(task, spec=spec, logging=move(task.logging))


def read_files(folder: Path) -> bytes:
    """Return all files in `folder` as a tar.

    Checkpoints come first: the other files of a run that is writing are then as new or newer, as a resume expects.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"]
        for path in sorted(paths, key=lambda path: path.suffix != ".pt"):
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # the run replaced it
                continue
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


def write_files(folder: Path, files: bytes) -> None:
    """Make `folder` contain exactly the files of the tar `files`; none if it is empty.

    Checkpoints come last: if the process is killed before, the other files are newer than these, as a resume expects.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    if files:
        with tarfile.open(fileobj=io.BytesIO(files)) as tar:
            for info in reversed(tar.getmembers()):
                path, source = folder / info.name, tar.extractfile(info)
                assert source is not None
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacement(path) as temporary:
                    temporary.write_bytes(source.read())
                names.add(info.name)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in names:
            path.unlink()
