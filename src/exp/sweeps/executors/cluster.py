"""Cluster: the jobs run on a cluster, through submitit. A preempted job is queued again and resumes.

`hydra/launcher=submitit_slurm`
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submitit import AutoExecutor, Job
from submitit.helpers import DelayedSubmission

from exp.config import allowlist
from exp.errors import ConfigError
from exp.sweeps.executors import cluster_jobs
from exp.sweeps.executors.executor import Executor
from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.task import Outcome, Runnable, Task

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


# Settings that are not passed to submitit.
_OURS = ("_target_", "cluster", "submitit_folder", "max_num_timeout", "max_queued")


# Settings without a prefix in submitit, because every kind of cluster has them.
_COMMON = ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "name", "stderr_to_stdout")


_POLL_SECONDS = 0.5


# How long the result file of a job that ended on another machine may take to appear on this one.
_MAX_FILE_DELAY = 15.0


class _ClusterTask:
    """The function that submitit runs. It resumes the run if it was preempted before."""

    def __call__(self, task: Task) -> Outcome:
        allowlist.add_to_path(None)
        from exp.training.reuse import JobCache

        return task.resumed().run(JobCache(), None)

    def checkpoint(self, task: Task) -> DelayedSubmission:
        """Called by submitit before it queues a preempted job again. The run has saved, so the same task resumes it."""
        return DelayedSubmission(self, task)


class Cluster(Executor):
    """A thread submits the waiting tasks together, and polls their state."""

    def __init__(self, settings: Mapping[str, Any], jobs: int) -> None:
        """Connect to the cluster.

        Raises:
            ConfigError: There is no such cluster, or it does not have a setting.
        """
        kind = settings["cluster"]
        given = {name: value for name, value in settings.items() if value is not None and name not in _OURS}
        try:
            self._executor = AutoExecutor(
                settings["submitit_folder"], cluster=kind, **{f"{kind}_max_num_timeout": settings["max_num_timeout"]}
            )
            self._executor.update_parameters(
                **{name if name in _COMMON else f"{kind}_{name}": value for name, value in given.items()}
            )
        except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
            raise ConfigError(
                f"hydra/launcher=submitit_{kind}: {error}",
                "hydra/launcher=exp, on this machine",
                key="hydra/launcher",
                override="hydra/launcher=exp",
            ) from error
        self._kind, self._folder = str(kind), str(settings["submitit_folder"])
        self.workers = jobs
        self.has_queue = False  # each task is a cluster job
        self._max_file_delay = 0.0 if kind == "local" else _MAX_FILE_DELAY
        self._max_running: int | None = settings.get("array_parallelism")
        self._waiting: dict[Future[Outcome], Task] = {}
        self._seen = 0  # tasks that waited at the last poll
        self._queued: dict[Future[Outcome], Job[Outcome]] = {}
        self._collected: dict[Future[Outcome], Path] = {}  # the folders of runs that another sweep submitted
        self._ended: dict[Future[Outcome], float] = {}  # when the job was first seen to have ended
        self._is_interrupted = self._is_closed = False
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def __exit__(self, *of_error: object) -> None:
        self._is_closed = True
        self._thread.join()

    def submit(self, task: Runnable, should_prune: "PruningCallback | None" = None) -> "Future[Outcome]":
        """Queue a run, which is never pruned. Any other task runs in this process."""
        if not isinstance(task, Task):
            return InProcess().submit(task, should_prune)
        future: Future[Outcome] = Future()
        self._waiting[future] = task
        return future

    def find_running(self, folder: Path) -> "Future[Outcome] | None":
        job = cluster_jobs.find_running(folder, self._kind, self._folder)
        if job is None:
            return None
        future: Future[Outcome] = Future()
        future.set_running_or_notify_cancel()
        self._collected[future] = folder  # first: the thread looks at all jobs in the queue
        self._queued[future] = job
        return future

    def interrupt(self) -> None:
        """Stop the running jobs, which save, and take the others out of the queue."""
        self._is_interrupted = True
        for job in list(self._queued.values()):
            job.cancel(check=False)

    def _poll(self) -> None:
        while not self._is_closed:
            time.sleep(_POLL_SECONDS)
            if new := self._take_waiting():
                self._submit_array(new)
            for future, job in list(self._queued.items()):
                if (outcome := self._outcome(future, job)) is not None:
                    del self._queued[future]
                    future.set_result(outcome)

    def _take_waiting(self) -> "dict[Future[Outcome], Task]":
        """Return the tasks to submit as one array, which at first are all that a sweep may queue.

        A scheduler limits the running jobs of each array. Later arrays are so small that the limit holds for all jobs.
        """
        waiting = list(self._waiting)
        is_complete, self._seen = len(waiting) == self._seen, len(waiting)
        if not self._queued and not is_complete:
            return {}
        if self._queued and self._max_running is not None:
            waiting = waiting[: max(0, self._max_running - len(self._queued))]
        taken = {future: self._waiting.pop(future) for future in waiting}
        return {future: task for future, task in taken.items() if future.set_running_or_notify_cancel()}

    def _submit_array(self, tasks: "Mapping[Future[Outcome], Task]") -> None:
        """Submit the tasks as one job array."""
        try:
            jobs = self._executor.map_array(_ClusterTask(), tasks.values())
        except Exception as error:
            for future in tasks:
                future.set_result(Outcome(f"the job could not be submitted: {error}"))
            return
        self._queued |= zip(tasks, jobs, strict=True)
        for task, job in zip(tasks.values(), jobs, strict=True):
            with suppress(OSError):  # the folder was removed: the job itself reports it
                cluster_jobs.write(task.spec.folder, job)
        if self._is_interrupted:  # during the submission: interrupt() did not find these jobs
            self.interrupt()

    def _outcome(self, future: "Future[Outcome]", job: "Job[Outcome]") -> Outcome | None:
        """Return the outcome of the job; None while it runs, and while its result file may still appear."""
        try:
            if not job.done():
                return None
            ended = self._ended.setdefault(future, time.monotonic())
            has_result = job.paths.result_pickle.exists()
            if not has_result and time.monotonic() - ended < self._max_file_delay:
                return None
            if self._is_interrupted:
                return Outcome(interrupted=True)
            if future in self._collected:
                return cluster_jobs.read_outcome(self._collected.pop(future), job)
            if not has_result:
                return Outcome(f"cluster job {job.job_id} ended without a result: {job.paths.stdout}")
            return job.result()
        except Exception as error:
            return Outcome(f"cluster job {job.job_id}: {error}")
