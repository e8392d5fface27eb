"""RaySlot: room for one job at a time on a Ray cluster."""

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RaySystemError

from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.executors.ray_head import RayHead
from exp.sweeps.executors.ray_worker import Death, Node, Reply, read_files, write_files
from exp.sweeps.executors.worker_process import WorkerDied, run_task
from exp.sweeps.task import Assignment, Evaluation, Outcome, Runnable, Task

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


# How often a thread that waits for Ray looks whether the sweep has ended.
POLL_SECONDS = 0.5


_get: Any = ray.get  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class RaySlot:
    """An actor, which is started again on any node if it dies.

    Args:
        actor_class: The remote class of the actor. Each new one would be sent to the head of the cluster.
        options: Those of the actor.
        arguments: Those of `RayWorker`.
        copy_every: Seconds between copies of the files of a run, if its node does not share the folder of the sweep.
        head: Without it, Ray does not report that a node died.
    """

    def __init__(
        self,
        actor_class: Any,
        options: Mapping[str, Any],
        arguments: tuple[object, ...],
        copy_every: float,
        head: RayHead,
    ) -> None:
        self._actor_class = actor_class
        self._options = options
        self._arguments = arguments
        self._copy_every = copy_every
        self._head = head
        self.actor: Any = None
        self.shares_files = True

    def start(self, is_closed: Callable[[], bool]) -> Node | None:
        """Start the actor, and wait until it runs. None if the executor closes first; RayError if it dies."""
        if self.actor is not None:
            self.kill()
        self.actor = self._actor_class.options(**self._options).remote(*self._arguments)
        reference = self.actor.describe.remote()
        while not ray.wait([reference], timeout=POLL_SECONDS)[0]:
            if is_closed():
                if not self._head.is_lost:  # without it, to kill an actor that does not run yet never ends
                    self.kill()
                return None
        node: Node = _get(reference)
        self.shares_files = node.shares_files
        return node

    def kill(self) -> None:
        with suppress(RayError):
            ray.kill(self.actor)

    def run(self, task: Runnable, should_prune: "PruningCallback | None") -> Outcome:
        """Run the task.

        Raises:
            WorkerDied: The process died, and the actor has started another one.
            RayError: The actor or its node died, or the head of the cluster.
        """
        if self.shares_files:
            return run_task(lambda message: self._exchange(message, None), task, should_prune)
        if not isinstance(task, Task):  # it needs the folders of the runs
            return InProcess().submit(task, should_prune).result()
        folder = task.spec.folder
        return run_task(lambda message: self._exchange(message, folder), task, should_prune)

    def _exchange(self, message: Assignment | bool, folder: Path | None) -> Evaluation | Outcome:
        """Send a message, and return the reply; the files of the run are copied to `folder`."""
        files = read_files(folder) if folder is not None and isinstance(message, Assignment) else None
        future: Future[Reply] = self.actor.exchange.remote(message, files).future()
        while folder is not None and not self._wait(future, self._copy_every):
            copying: Future[bytes | None] = self.actor.read_files.remote(folder).future()
            self._wait(copying, math.inf)
            if (copy := copying.result()) is not None:
                write_files(folder, copy)
        self._wait(future, math.inf)
        reply = future.result()
        if folder is not None and reply.files is not None:
            write_files(folder, reply.files)
        if isinstance(reply.message, Death):
            raise WorkerDied(reply.message.reason)
        return reply.message

    def _wait(self, future: "Future[Any]", seconds: float) -> bool:
        """Wait for a reply of the actor. Return whether it came in time; RayError if the head is lost.

        Without a head, ray.wait() may not return, also not after its timeout.
        """
        end = time.monotonic() + seconds
        while not self._head.is_given_up:
            if wait([future], timeout=min(POLL_SECONDS, seconds)).done:
                return True
            if time.monotonic() >= end:
                return False
        raise RaySystemError("the head of the cluster is lost")
