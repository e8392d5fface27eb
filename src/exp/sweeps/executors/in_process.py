"""InProcess: the jobs run in this process, one after another, for a debugger. `sweep.workers=0`"""

from concurrent.futures import Future
from typing import TYPE_CHECKING

from exp.sweeps.executors.executor import Executor
from exp.sweeps.task import Outcome, Runnable

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback
    from exp.training.reuse import JobCache


class InProcess(Executor):
    """Runs each task when it is submitted."""

    def __init__(self) -> None:
        self.workers = 0
        self._cache: JobCache | None = None

    def submit(self, task: Runnable, should_prune: "PruningCallback | None" = None) -> "Future[Outcome]":
        from exp.training.reuse import JobCache  # Lazy: it imports torch.

        self._cache = self._cache or JobCache()
        future: Future[Outcome] = Future()
        future.set_result(task.run(self._cache, should_prune))
        return future

    def interrupt(self) -> None:
        """Do nothing: a task has ended when submit() returns."""

    def __exit__(self, *error: object) -> None:
        pass
