"""Processes that make a sweep's runs. One that dies takes its own job with it, and another stands in for it."""

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
    """How many processes `sweep.workers` asks for, at most one a job; "auto": as many as there are cores."""
    if setting == "auto":
        setting = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(setting), jobs)


class WorkerPool(Executor):
    """So many worker processes, started at once. To be used in a `with`."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers)
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._processes = [_early.pop() if _early else _Process(beside_others=workers > 1) for _ in range(workers)]
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
        _early.extend(self._processes)  # a search has jobs for them again in a moment

    def _run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        process = self._idle.get()
        try:
            return process.run(task, should_prune)
        finally:
            self._idle.put(process)


_early: "list[_Process]" = []


def start_worker_early(beside_others: bool) -> None:
    """Start a worker before anybody knows its jobs: it imports torch while they are composed."""
    _early.append(_Process(beside_others))


def stop_early_workers() -> None:
    """Let go of those that no sweep took, or that it gave back."""
    while _early:
        _early.pop().kill()


class _Process:
    def __init__(self, beside_others: bool) -> None:
        # Else torch's threads, of which large nets have one a core in every worker, wait for each other by spinning on
        # the cores that the others need. Fewer threads would be other bits than those of the run alone.
        self._environment = {"OMP_WAIT_POLICY": "passive"} if beside_others else {}
        self._start()

    def _start(self) -> None:
        # In a process group of its own, so that Ctrl-C reaches the sweep alone, which hands it on once.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exp.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**self._environment, **os.environ},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._answers = self._process.stdin, self._process.stdout

    def run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        try:
            self._send(Assignment(task, is_prunable=should_prune is not None))
            while isinstance(message := cast("Evaluation | Outcome", pickle.load(self._answers)), Evaluation):
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
        """Between jobs there is nothing in it to lose, and it may be at its imports yet."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._tasks.close()
        self._process.wait()
        self._answers.close()


def _death_message(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    why = ", by hand or by the system for want of memory" if -code == signal.SIGKILL else ""
    return f"its process was killed by {name}{why}"
