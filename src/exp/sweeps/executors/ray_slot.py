"""RaySlot: room for one job at a time on a Ray cluster."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.executors.ray_worker import Death, Node, RayWorker, Reply, read_files, write_files
from exp.sweeps.executors.worker_process import WorkerDied, run_task
from exp.sweeps.task import Assignment, Evaluation, Outcome, Runnable, Task

if TYPE_CHECKING:
    from exp.training.events import PruningCallback


# How often a thread that waits for Ray looks whether the sweep has ended.
POLL_SECONDS = 0.5


_get: Any = ray.get  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class RaySlot:
    """An actor, which is started again on any node if it dies.

    Args:
        options: Those of the actor.
        arguments: Those of `RayWorker`.
        copy_every: Seconds between copies of the files of a run, if its node does not share the folder of the sweep.
    """

    def __init__(self, options: Mapping[str, Any], arguments: tuple[object, ...], copy_every: float) -> None:
        self._options = options
        self._arguments = arguments
        self._copy_every = copy_every
        self.actor: Any = None
        self.shares_files = True

    def start(self, is_closed: Callable[[], bool]) -> Node | None:
        """Start the actor, and wait until it runs. None if the executor closes first; RayError if it dies."""
        remote: Any = ray.remote(RayWorker)
        self.actor = remote.options(**self._options).remote(*self._arguments)
        reference = self.actor.describe.remote()
        while not ray.wait([reference], timeout=POLL_SECONDS)[0]:
            if is_closed():
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
            RayError: The actor or its node died.
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
        reference = self.actor.exchange.remote(message, files)
        while folder is not None and not ray.wait([reference], timeout=self._copy_every)[0]:
            copy: bytes | None = _get(self.actor.read_files.remote(folder))
            if copy is not None:
                write_files(folder, copy)
        reply: Reply = _get(reference)
        if folder is not None and reply.files is not None:
            write_files(folder, reply.files)
        if isinstance(reply.message, Death):
            raise WorkerDied(reply.message.reason)
        return reply.message
