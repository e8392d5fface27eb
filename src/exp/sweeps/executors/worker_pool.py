"""WorkerPool: the jobs run in processes of this machine. `sweep.workers=N`

A worker that dies fails its own job only, and is replaced.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from exp.config.cores import usable_cores
from exp.errors import pluralize
from exp.results import summary
from exp.sweeps.executors.executor import Executor
from exp.sweeps.executors.first_process import stop_first
from exp.sweeps.executors.worker_process import WorkerDied, WorkerProcess, run_task
from exp.sweeps.task import Outcome, Runnable

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


# The other jobs of a sweep must take at least so long before a note says that more workers would be faster.
_MANY_SECONDS = 60.0


def worker_count(setting: int | str, jobs: int) -> int:
    """Return the number of processes that `sweep.workers` requests, at most one per job. "auto": one per core."""
    if setting == "auto":
        setting = usable_cores()
    return min(int(setting), jobs)


def describe_crowd(workers: int, threads: int, cores: int) -> str | None:
    """Return a note if so many workers have more threads than there are cores: these wait for each other."""
    if min(workers, threads) == 1 or workers * threads <= cores:
        return None
    what = f"{workers} jobs at a time with {threads} threads each on {pluralize(cores, 'core')}"
    return f"{what}: threads={max(1, cores // workers)} is faster, and rounds differently"


def describe_idle(threads: int, cores: int, seconds: float) -> str | None:
    """Return a note if only one of the cores is used for many `seconds` more."""
    if threads > 1 or cores == 1 or seconds < _MANY_SECONDS:
        return None
    used = f"1 of {cores} cores is used, for about {pluralize(round(seconds / 60), 'minute')} more"
    return f"{used}: sweep.workers=auto is faster, with the same results"


class WorkerPool(Executor):
    """`workers` processes, started at once."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._threads = ThreadPoolExecutor(workers)
        self._idle: SimpleQueue[WorkerProcess] = SimpleQueue()
        self._processes = [_early.pop() if _early else WorkerProcess(os.environ) for _ in range(workers)]
        for process in self._processes:
            self._idle.put(process)

    def submit(self, task: Runnable, should_prune: "PruningCallback | None" = None) -> "Future[Outcome]":
        return self._threads.submit(self._run, task, should_prune)

    def find_slowdown(self, folder: Path, left: int) -> str | None:
        content = summary.read(folder)
        threads, cores = content.get("environment", {}).get("threads", 1), usable_cores()
        if self.workers == 1:
            return describe_idle(threads, cores, left * float(content.get("seconds", 0)))
        return describe_crowd(self.workers, threads, cores)

    def interrupt(self) -> None:
        for process in self._processes:
            process.interrupt()

    def __exit__(self, *of_error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        _early.extend(self._processes)  # a search submits more jobs to them

    def _run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        process = self._idle.get()
        try:
            return run_task(process.exchange, task, should_prune)
        except WorkerDied as death:
            return Outcome(str(death))
        except BaseException:  # raised by should_prune, whose answer the run waits for
            process.kill()
            process.start()
            raise
        finally:
            self._idle.put(process)


_early: "list[WorkerProcess]" = []


def start_workers_early(setting: str) -> None:
    """Start workers that import torch while the jobs are composed. The next WorkerPool takes them.

    Args:
        setting: The text of `sweep.workers`; "" if it is not given. Two are started at most: a sweep may have no more
            jobs.
    """
    is_known = setting == "auto" or setting.isdecimal()
    _early.extend(WorkerProcess(os.environ) for _ in range(worker_count(setting, 2) if is_known else 1))


def stop_early_workers() -> None:
    """Stop the workers that no pool uses."""
    stop_first()
    while _early:
        _early.pop().kill()
