"""WorkerPool: the jobs run in processes of this machine. `sweep.workers=N`

A worker that dies fails its own job only, and is replaced.
"""

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast

from exp.sweeps.executors._base import Executor
from exp.sweeps.task import Assignment, Evaluation, Outcome, Runnable

if TYPE_CHECKING:
    from exp.training.events import PruningCallback


def worker_count(setting: int | str, jobs: int) -> int:
    """Return the number of processes that `sweep.workers` requests, at most one per job. "auto": one per core."""
    if setting == "auto":
        setting = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(setting), jobs)


class WorkerPool(Executor):
    """`workers` processes, started at once."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.has_queue = True
        self._threads = ThreadPoolExecutor(workers)
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._processes = [_early.pop() if _early else _Process(shares_cores=workers > 1) for _ in range(workers)]
        for process in self._processes:
            self._idle.put(process)

    def submit(self, task: Runnable, should_prune: "PruningCallback | None" = None) -> "Future[Outcome]":
        return self._threads.submit(self._run, task, should_prune)

    def interrupt(self) -> None:
        for process in self._processes:
            process.interrupt()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *of_error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        _early.extend(self._processes)  # a search submits more jobs to them

    def _run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        process = self._idle.get()
        try:
            return process.run(task, should_prune)
        finally:
            self._idle.put(process)


_early: "list[_Process]" = []


def start_worker_early(shares_cores: bool) -> None:
    """Start a worker that imports torch while the jobs are composed. The next WorkerPool takes it."""
    _early.append(_Process(shares_cores))


def stop_early_workers() -> None:
    """Stop the workers that no pool uses."""
    while _early:
        _early.pop().kill()


class _Process:
    """One worker process. It is started again if it dies."""

    def __init__(self, shares_cores: bool) -> None:
        # Torch's threads wait by spinning. With a large model every worker has one thread per core, and these threads
        # would hold the cores that other workers need. Fewer threads would change the bits of a run.
        self._environment = {"OMP_WAIT_POLICY": "passive"} if shares_cores else {}
        self._start()

    def _start(self) -> None:
        # In its own session, so that Ctrl-C reaches only the sweep, which forwards it once.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exp.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**self._environment, **os.environ},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._outcomes = self._process.stdin, self._process.stdout

    def run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        try:
            self._send(Assignment(task, is_prunable=should_prune is not None))
            while isinstance(message := cast("Evaluation | Outcome", pickle.load(self._outcomes)), Evaluation):
                self._send(should_prune is not None and should_prune(message.epoch, message.metrics))
            return message
        except (EOFError, OSError, pickle.UnpicklingError):
            self.close()
            error = _death_message(self._process.returncode)
            self._start()
            return Outcome(error)
        except BaseException:  # raised by should_prune, whose answer the run waits for
            self.kill()
            self._start()
            raise

    def _send(self, message: Assignment | bool) -> None:
        pickle.dump(message, self._tasks)
        self._tasks.flush()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process: between jobs it holds nothing, and during its imports it does not handle signals."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._tasks.close()
        self._process.wait()
        self._outcomes.close()


def _death_message(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    reason = ", by a user or by the system when memory ran out" if -code == signal.SIGKILL else ""
    return f"its process was killed by {name}{reason}"
