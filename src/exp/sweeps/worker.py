"""A process that makes one run after another for a sweep: `python -m exp.sweeps.worker`, spoken to through its pipes.

It stays warm, so that a job pays for no import; each job finds it as a process of its own would be, and writes the same
bits.
"""

import gc
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


def _read(tasks: BinaryIO, into: "queue.SimpleQueue[Assignment | bool | None]") -> None:
    """Take in what is sent; when the sweep's process is gone, a run that is under way saves and ends."""
    while True:
        try:
            into.put(pickle.load(tasks))
        except (EOFError, pickle.UnpicklingError):  # at its end, or killed in the middle of a task
            into.put(None)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a user's own model prints must not stand among the answers
    if allowlist.USER_PACKAGES and "" not in sys.path:
        sys.path.insert(0, "")
    asked: list[int] = []  # to stop, while no run listened
    signal.signal(signal.SIGTERM, lambda which, _: asked.append(which))
    tasks: queue.SimpleQueue[Assignment | bool | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, tasks), daemon=True).start()
    gc.disable()
    importlib.import_module("exp.run")  # while the sweep composes its jobs
    from exp.training.reuse import JobCache

    gc.freeze()
    gc.enable()
    cache = JobCache()

    def send(what: Evaluation | Outcome) -> None:
        pickle.dump(what, answers)
        answers.flush()

    def should_prune(epoch: float, metrics: dict[str, float]) -> bool:
        try:
            send(Evaluation(epoch, metrics))
        except BrokenPipeError:
            return False
        if (answer := tasks.get()) is None:  # the sweep's process is gone: the run is told, and then the loop below
            tasks.put(None)
        return answer is True

    while (assignment := cast("Assignment | None", tasks.get())) is not None:
        callback = should_prune if assignment.is_prunable else None
        outcome = Outcome(interrupted=True) if asked else assignment.task.run(cache, callback)
        try:
            send(outcome)
        except BrokenPipeError:  # the sweep's process is gone, and the run has saved
            break
    os._exit(0)  # nothing is open, and taking torch down takes a tenth of a second


if __name__ == "__main__":
    main()
