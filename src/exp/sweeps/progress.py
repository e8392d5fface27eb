"""One line over a sweep's jobs while it runs: how many are done, what is left, and the best so far."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from exp.sweeps import answer
from exp.sweeps.table import Row

_SECONDS_BETWEEN_LINES = 5.0


class SweepProgress:
    """A bar on a terminal, a line now and then elsewhere. To be used in a `with`."""

    def __init__(self, jobs: int, done: int, measure: str) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            BarColumn(10),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[best]}", markup=False),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._measure = measure
        self._jobs, self._done, self._failed = jobs, done, 0
        self._best: Row | None = None
        self._task = self._bar.add_task("sweep", total=jobs, completed=done, counts="", best="")
        self._spoke = time.perf_counter()

    def __enter__(self) -> "SweepProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def ended(self, row: Row) -> None:
        """A job has ended, as its row of the sweep's table tells."""
        self._done += 1
        self._failed += row["status"] not in ("finished", "pruned")
        if row["status"] == "finished":
            known = [row] if self._best is None else [self._best, row]
            self._best = answer.best_first(known, self._measure)[0]

    def show(self, running: int) -> None:
        counts = f"{self._done} of {self._jobs} done, {self._failed} failed, {running} running"
        best = ""
        if self._best is not None and self._measure in self._best:
            value = answer.figure(self._measure, self._best[self._measure])
            best = f"best {self._measure} {value}: job {self._best['job']}"
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self._done, counts=counts, best=best)
            self._bar.refresh()
        elif time.perf_counter() - self._spoke > _SECONDS_BETWEEN_LINES:
            self._spoke = time.perf_counter()
            self._console.print(f"{counts}   {best}")
