"""Executor: where the jobs of a sweep run. One small file per kind; `launcher.make_executor` chooses.

Another kind is a file here, a line in `make_executor`, and a launcher config in `hydra_plugins`.
"""

import os
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from exp.errors import ConfigError
from exp.sweeps.task import Outcome, Runnable

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


_exits_at_once: list[bool] = []


def exit_at_once() -> None:
    """Let `leave` end this process without waiting for threads, because one of an executor never ends."""
    _exits_at_once.append(True)


def leave(code: int) -> None:
    """End this process with an exit code; return with 0 if no thread has to be left behind."""
    if _exits_at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


class Executor(Protocol):
    """Runs tasks. Use it in a `with` statement, which waits for running tasks at its end."""

    workers: int  # tasks that run at the same time; 0: submit() runs the task itself
    has_queue: bool = True  # whether a task that is submitted while all workers are busy waits for one

    def submit(self, task: Runnable, should_prune: "PruningCallback | None" = None) -> "Future[Outcome]":
        """Run the task, now or when a worker is free. A worker that dies is an outcome, not an exception.

        `should_prune` may be called in another thread. Executors that cannot call it ignore it.
        """
        ...

    def find_running(self, folder: Path) -> "Future[Outcome] | None":
        """Return the future of the run in `folder` if a sweep that has ended submitted it, and it is queued or runs."""
        del folder
        return None

    def find_loss(self) -> ConfigError | None:
        """Return why no more tasks can run; None while they can. Running ones may still save after an `interrupt`."""
        return None

    def find_slowdown(self, folder: Path, left: int) -> str | None:
        """Return what slows down the tasks, such as the one that ended in `folder`, and what to do; None if nothing.

        Args:
            left: How many others there are that may run at the same time.
        """
        del folder, left
        return None

    def interrupt(self) -> None:
        """Ask every running task to save and end. Its outcome is then `interrupted`."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...
