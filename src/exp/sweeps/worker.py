"""A worker process of a sweep: `python -m exp.sweeps.worker`. It reads tasks from stdin and writes outcomes to stdout.

A worker runs many jobs and imports torch once. Each job writes the same bits as in a process of its own.
"""

import importlib
import os
import pickle
import queue
import signal
import sys
import threading
from typing import BinaryIO, cast

from exp.config import allowlist
from exp.sweeps.task import Assignment, Evaluation, Outcome
from exp.training.import_gc import end_gc_pause, gc_pause


def _receive(
    tasks: BinaryIO, received: "queue.SimpleQueue[Assignment | bool | None]", is_ready: threading.Event
) -> None:
    """Receive messages until the sweep's process is gone; then stop the current run, which saves and ends.

    Args:
        is_ready: Set when what a run needs is imported. Before, the worker ends at once: its stderr is the command's,
            and a program that reads it to its end waits for both.
    """
    while True:
        try:
            received.put(pickle.load(tasks))
        except (EOFError, pickle.UnpicklingError):  # The sweep ended, or was killed while it sent a task.
            if not is_ready.is_set():
                os._exit(0)
            received.put(None)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def main() -> None:
    """Run tasks until the sweep's process closes the pipe."""
    outcomes = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints of a user's model must not mix with the outcomes
    allowlist.add_to_path(None)
    stops: list[int] = []  # signals received between runs; a run has its own handlers
    signal.signal(signal.SIGTERM, lambda number, _: stops.append(number))
    tasks: queue.SimpleQueue[Assignment | bool | None] = queue.SimpleQueue()
    is_ready = threading.Event()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, tasks, is_ready), daemon=True).start()
    with gc_pause():
        importlib.import_module("exp.run")  # while the sweep composes its jobs
        end_gc_pause()
    from exp.training.reuse import JobCache

    is_ready.set()
    cache = JobCache()

    def send(message: Evaluation | Outcome) -> None:
        pickle.dump(message, outcomes)
        outcomes.flush()

    def should_prune(epoch: float, metrics: dict[str, float]) -> bool:
        try:
            send(Evaluation(epoch, metrics))
        except BrokenPipeError:
            return False
        if (answer := tasks.get()) is None:  # the sweep's process is gone: the loop below must end, too
            tasks.put(None)
        return answer is True

    while (assignment := cast("Assignment | None", tasks.get())) is not None:
        callback = should_prune if assignment.is_prunable else None
        outcome = Outcome(interrupted=True) if stops else assignment.task.run(cache, callback)
        try:
            send(outcome)
        except BrokenPipeError:  # The sweep's process is gone, and the run has saved.
            break
    os._exit(0)  # Nothing is open, and torch needs 0.1 s to shut down.


if __name__ == "__main__":
    main()
