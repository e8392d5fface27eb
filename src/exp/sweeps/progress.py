"""SweepProgress: the progress line of a sweep, with the number of jobs done, the time left and the best job."""

from types import TracebackType

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from exp.results import formatting, sweep_csv, terminal
from exp.results.sweep_csv import Row


class SweepProgress:
    """A progress bar on a terminal and in a notebook; elsewhere a line every few seconds."""

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
        self._jobs, self._done = jobs, done
        self._failed = 0
        self._best: Row | None = None
        self._has_noted = False

    def __enter__(self) -> "SweepProgress":
        self._bar.start(self._jobs, self._done, counts="", best="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def add(self, row: Row, note: str | None) -> None:
        """Count a job that has ended, given its row of sweep.csv, and print a note for the first job that has one."""
        if note is not None and not self._has_noted:
            self._console.print(f"note: {note}")
            self._has_noted = True
        self._failed += row["status"] not in ("finished", "pruned")
        if row["status"] == "finished":
            candidates = [row] if self._best is None else [self._best, row]
            self._best = sweep_csv.sort_best_first(candidates, self._metric)[0]

    def show(self, done: int, jobs: int, running: int) -> None:
        """Update the bar, or print a line if the last one is old enough."""
        counts = f"{done} of {jobs} done, {self._failed} failed, {running} running"
        best = ""
        if self._best is not None and self._metric in self._best:
            value = formatting.format_metric(self._metric, self._best[self._metric])
            best = f"best {self._metric} {value}: job {self._best['job']}"
        if self._bar.moves:
            self._bar.update(done, jobs, counts=counts, best=best)
        elif self._bar.is_due():
            self._console.print(f"{counts}   {best}".rstrip())
