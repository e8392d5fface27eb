"""WorkerProcess: one process of `exp.sweeps.worker`, which runs many tasks."""

import pickle
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from exp.errors import ConfigError
from exp.sweeps.executors.first_process import new_process
from exp.sweeps.task import Assignment, Evaluation, Outcome, Runnable

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


class WorkerDied(Exception):  # noqa: N818  # an outcome of one job
    """The process of a worker ended while it had a task. The text says how."""


def run_task(
    exchange: "Callable[[Assignment | bool], Evaluation | Outcome]",
    task: Runnable,
    should_prune: "PruningCallback | None",
) -> Outcome:
    """Run a task in a worker.

    Args:
        exchange: Sends a message to the worker, and returns the reply.
    """
    message = exchange(Assignment(task, is_prunable=should_prune is not None))
    while isinstance(message, Evaluation):
        message = exchange(should_prune is not None and should_prune(message.epoch, message.metrics))
    return message


class WorkerProcess:
    """A worker process with these environment variables, in the folder `cwd`. It is started again if it dies."""

    def __init__(self, environment: Mapping[str, str], cwd: Path | None = None) -> None:
        self._environment = dict(environment)
        self._cwd = cwd
        self.start()

    def start(self) -> None:
        try:
            self._process = new_process(self._environment, self._cwd)
        except OSError as error:
            raise ConfigError(
                f"sweep.workers: no process can be started: {(error.strerror or str(error)).lower()}",
                "sweep.workers=0, which trains in this process",
                key="sweep.workers",
                override="sweep.workers=0",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._outcomes = self._process.stdin, self._process.stdout

    def exchange(self, message: Assignment | bool) -> Evaluation | Outcome:
        """Send a message, and return the reply.

        Raises:
            WorkerDied: The process ended. A new one is started.
        """
        try:
            pickle.dump(message, self._tasks)
            self._tasks.flush()
            return cast("Evaluation | Outcome", pickle.load(self._outcomes))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self._close()
            reason = _death_message(self._process.returncode)
            self.start()
            raise WorkerDied(reason) from error

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process: between jobs it holds nothing, and during its imports it does not handle signals."""
        self._process.kill()
        self._close()

    def _close(self) -> None:
        with suppress(OSError):
            self._tasks.close()
        self._process.wait()
        self._outcomes.close()


def _death_message(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
    reason = ", by a user or by the system when memory ran out" if -code == signal.SIGKILL else ""
    return f"its process was killed by {name}{reason}"
