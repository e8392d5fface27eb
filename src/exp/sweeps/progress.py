"""One line over a sweep's jobs while it runs: how many are done, what is left, and the best so far."""

import time
from types import TracebackType

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from exp.results import formatting, sweep_csv, terminal
from exp.results.sweep_csv import Row

_SECONDS_BETWEEN_LINES = 5.0


class SweepProgress:
    """A bar on a terminal and in a notebook, a line now and then elsewhere. To be used in a `with`."""

    def __init__(self, jobs: int, done: int, metric: str) -> None:
        self._console = terminal.make_console()
        self._bar = terminal.ProgressBar(
            self._console,
            BarColumn(10),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[best]}", markup=False),
        )
        self._metric = metric
        self._jobs, self._done, self._failed = jobs, done, 0
        self._best: Row | None = None
        self._spoke = time.perf_counter()

    def __enter__(self) -> "SweepProgress":
        self._bar.start(self._jobs, self._done, counts="", best="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def ended(self, row: Row) -> None:
        """A job has ended, as its row of the sweep's table tells."""
        self._done += 1
        self._failed += row["status"] not in ("finished", "pruned")
        if row["status"] == "finished":
            known = [row] if self._best is None else [self._best, row]
            self._best = sweep_csv.sort_best_first(known, self._metric)[0]

    def show(self, running: int) -> None:
        counts = f"{self._done} of {self._jobs} done, {self._failed} failed, {running} running"
        best = ""
        if self._best is not None and self._metric in self._best:
            value = formatting.format_metric(self._metric, self._best[self._metric])
            best = f"best {self._metric} {value}: job {self._best['job']}"
        if self._bar.moves:
            self._bar.update(self._done, counts=counts, best=best)
        elif time.perf_counter() - self._spoke > _SECONDS_BETWEEN_LINES:
            self._spoke = time.perf_counter()
            self._console.print(f"{counts}   {best}")
