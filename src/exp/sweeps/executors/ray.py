"""RayCluster: the jobs run in workers on the nodes of a Ray cluster. `hydra/launcher=ray`

A job whose worker, actor or node dies is run again, and resumes from its checkpoint. Other jobs do not notice.
"""

import os
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import ray
from ray.exceptions import RayError

from exp.errors import ConfigError, pluralize
from exp.results.lock import folder_lock
from exp.sweeps.executors.executor import Executor, exit_at_once
from exp.sweeps.executors.ray_connection import RaySettings, connect, count_room, has_gpus
from exp.sweeps.executors.ray_head import RayHead
from exp.sweeps.executors.ray_slot import POLL_SECONDS, RaySlot
from exp.sweeps.executors.ray_worker import RayWorker, read_versions
from exp.sweeps.executors.worker_process import WorkerDied
from exp.sweeps.task import Outcome, Runnable, Task

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


# The driver's variables that the workers get; the others are those of the node.
_PASSED = ("EXP_", "PYTHONPATH", "OMP_", "MKL_", "OPENBLAS_", "CUBLAS_")


# How long a run whose actor died may take to save.
_LOCK_TIMEOUT = 20.0


# How often a worker is started before it is given up.
_MAX_STARTS = 5


# How long to wait for workers that end.
_SECONDS_TO_CLOSE = 10.0


class RayCluster(Executor):
    """As many actors as the cluster has room for, or `limit`. Threads give them the jobs."""

    def __init__(self, settings: RaySettings, folder: Path, limit: int | None, jobs: int) -> None:
        """Connect to the cluster, and wait until it runs the first worker.

        Args:
            folder: The folder of the sweep.
            limit: The number of jobs that run at the same time; None: as many as the cluster has room for.

        Raises:
            ConfigError: The cluster does not come, has no room for a job, or differs from this machine.
        """
        self._settings = settings
        self._token = folder / ".ray"
        self._disconnect = connect(settings)
        gpus = settings.gpus_per_job if settings.gpus_per_job is not None else float(has_gpus())
        room = count_room(settings.cpus_per_job, gpus)
        if room == 0 and settings.address is None:  # no other node comes
            error = settings.too_small()
            if self._disconnect is not None:
                self._disconnect()
            raise error
        self.workers = min(limit or max(1, room), jobs)
        self._error: ConfigError | None = None  # why a worker could not be started
        self._is_interrupted = self._is_closed = False
        self._head = RayHead(settings.address)
        self._lost_at = time.monotonic()  # when there was last no worker
        self._idle: queue.Queue[RaySlot] = queue.Queue()
        self._alive: list[RaySlot] = []
        self._starting: list[RaySlot] = []
        self._starters: list[threading.Thread] = []
        self._threads = ThreadPoolExecutor(self.workers)
        content = uuid4().hex
        self._token.write_text(content, encoding="utf-8")
        environment = _choose_environment(has_gpu=gpus > 0)
        options = {
            "num_cpus": settings.cpus_per_job,
            "num_gpus": gpus,
            "max_concurrency": 4,  # interrupt() and read_files() are called while a job runs
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": environment},
        }
        arguments = (environment, Path.cwd(), (self._token.absolute(), content))
        actor_class: Any = ray.remote(RayWorker)
        for _ in range(self.workers):
            self._start(RaySlot(actor_class, options, arguments, settings.copy_every, self._head))
        try:
            if (first := self._take()) is not None:
                self._idle.put(first)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *of_error: object) -> None:
        self._is_closed = True
        self._token.unlink(missing_ok=True)
        closing = threading.Thread(target=self._close, daemon=True)
        closing.start()
        while closing.is_alive() and not self._head.is_lost:
            closing.join(POLL_SECONDS)
        closing.join(_SECONDS_TO_CLOSE)
        self._head.close()
        if closing.is_alive():  # Ray waits for the head, and would crash at the end of this process
            exit_at_once()

    def _close(self) -> None:
        """End the workers and, unless it is the caller's, the connection."""
        self._threads.shutdown(cancel_futures=True)
        for starter in self._starters:  # a thread that calls Ray after its shutdown would end this process
            starter.join()
        with suppress(RayError):
            closing = [slot.actor.close.remote() for slot in self._alive]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=_SECONDS_TO_CLOSE)
        if self._disconnect is not None:
            self._disconnect()
        else:
            for slot in self._alive:
                slot.kill()

    def submit(self, task: Runnable, should_prune: "PruningCallback | None" = None) -> "Future[Outcome]":
        return self._threads.submit(self._run, task, should_prune)

    def find_loss(self) -> ConfigError | None:
        return self._head.lost_error() if self._head.is_lost else None

    def interrupt(self) -> None:
        self._is_interrupted = True
        for slot in list(self._alive):
            with suppress(RayError):
                slot.actor.interrupt.remote()

    def _run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        reason = ""
        for _ in range(self._settings.max_retries + 1):
            if (slot := self._take()) is None:
                return Outcome(interrupted=True)
            try:
                outcome = slot.run(task, should_prune)
            except WorkerDied as death:
                reason = str(death)
                self._idle.put(slot)
            except RayError:
                if self._head.is_lost:
                    return Outcome(interrupted=True)
                reason = "its node or its Ray actor died"
                self._restart(slot)
            except BaseException:  # raised by should_prune, whose answer the run waits for
                self._restart(slot)
                raise
            else:
                self._idle.put(slot)
                if not outcome.interrupted or self._is_interrupted:
                    return outcome
                reason = "its process was stopped"
            if isinstance(task, Task):
                try:
                    with folder_lock(task.spec.folder, _LOCK_TIMEOUT):  # the run that was stopped saves
                        task = task.resumed()
                    print(f"job {task.spec.folder.name}: {reason}; it runs again, from its last checkpoint", flush=True)
                except (ConfigError, OSError) as error:
                    return Outcome(f"{reason}, and it cannot be run again: {error}")
        return Outcome(f"{reason}, {pluralize(self._settings.max_retries + 1, 'time')}")

    def _take(self) -> RaySlot | None:
        """Return a free worker, when there is one; None after an interrupt.

        Raises:
            ConfigError: No worker is left, or none comes in time.
        """
        while not self._is_interrupted:
            with suppress(queue.Empty):
                slot = self._idle.get(timeout=POLL_SECONDS)
                if not self._is_interrupted:  # else a job has just saved there, and another one would begin
                    return slot
                break
            if not self._alive and not self._starting:
                raise self._error or self._settings.no_room()
            if not self._alive and time.monotonic() - self._lost_at > self._settings.timeout:
                raise self._settings.no_room()
        return None

    def _start(self, slot: RaySlot) -> None:
        """Start a worker in a thread; it is free when it runs."""
        self._starting.append(slot)
        thread = threading.Thread(target=self._start_or_give_up, args=(slot,), daemon=True)
        self._starters.append(thread)
        thread.start()

    def _restart(self, slot: RaySlot) -> None:
        self._lost_at = time.monotonic()
        self._alive.remove(slot)
        self._start(slot)

    def _start_or_give_up(self, slot: RaySlot) -> None:
        """Start the worker, on another node if it dies. It is given up if that fails several times."""
        for _ in range(_MAX_STARTS):
            try:
                node = slot.start(lambda: self._is_closed or self._head.is_lost)
            except Exception as error:  # of Ray: the node died, or does not have exp
                self._error = self._settings.cannot_start(str(error))
                time.sleep(POLL_SECONDS)
                continue
            if node is not None and node.versions != read_versions():
                self._error = self._settings.other_versions(read_versions(), node.versions)
            elif node is not None:
                self._alive.append(slot)
                self._idle.put(slot)
            break
        self._starting.remove(slot)


def _choose_environment(has_gpu: bool) -> dict[str, str]:
    """Return the variables of this process that the workers get."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}
    if path := environment.get("PYTHONPATH"):  # the actor has another current folder
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in path.split(os.pathsep))
    if not has_gpu:  # Ray hides no GPU from a job that has none
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment
