"""The process of a sweep's first worker, which starts before the command is imported: both take some time."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Process: TypeAlias = "subprocess.Popen[bytes]"

# Overrides of a sweep whose jobs run in other processes than exp's workers.
WITHOUT_WORKERS = ("sweep.workers=0", "hydra/launcher=")

_first: list[tuple[Process, dict[str, str]]] = []  # the process and its environment, until it is taken


def start_first(arguments: Sequence[str]) -> None:
    """Start a worker if these arguments of `exp`, not yet parsed, may be those of a sweep that trains in workers.

    It ends when this process does. If it cannot start, the sweep says so when it starts its workers.
    """
    is_sweep = "-m" in arguments or "--multirun" in arguments
    if not is_sweep or arguments[0].isalpha():  # `exp ls` is another command
        return
    if not any(word.startswith(WITHOUT_WORKERS) for word in arguments):
        environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}  # as exp.cli.startup.full_hydra_errors sets it
        with suppress(OSError):
            _first.append((_start(environment, None), environment))


def new_process(environment: Mapping[str, str], cwd: Path | None) -> Process:
    """Return a worker with these environment variables, in the folder `cwd`: the first one if it is such a worker."""
    if _first and cwd is None and _first[0][1] == environment:
        return _first.pop()[0]
    return _start(environment, cwd)


def stop_first() -> None:
    """Kill the first worker if nobody has taken it."""
    while _first:
        process, _ = _first.pop()
        process.kill()
        process.communicate()


def _start(environment: Mapping[str, str], cwd: Path | None) -> Process:
    # In its own session, so that Ctrl-C reaches only the sweep, which forwards it once.
    return subprocess.Popen(
        [sys.executable, "-m", "exp.sweeps.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
        cwd=cwd,
    )
