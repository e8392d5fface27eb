"""How far a sweep is, from its files, while it runs or after it. Imports no torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from exp.errors import ConfigError, ExpError
from exp.results import sweep_csv, sweep_json
from exp.results.best_job import check_is_sweep
from exp.results.choice_means import average_choices
from exp.results.heartbeat import is_alive
from exp.results.repeats import find_varied_columns
from exp.results.resume_line import has_all_trials, has_storage, is_search, resume_sweep_command
from exp.results.run_folder import SWEEP_MANIFEST, read_sweep_metric
from exp.results.run_status import Process
from exp.results.sweep_csv import Row

# The statuses of jobs that are done. A resumed sweep runs failed ones again.
_DONE = ("finished", "failed", "diverged", "pruned")


@dataclass(frozen=True)
class BestSoFar:
    """The choice with the best mean so far, of those with the most finished jobs.

    Attributes:
        jobs: The names of its jobs: one, or those of its seeds and folds.
        value: The mean of the metric over them.
        choices: The values in which it differs from others, begun or not, by key.
    """

    jobs: list[str]
    value: float
    choices: dict[str, str]


@dataclass(frozen=True)
class SweepStatus:
    """How far the sweep in `folder` is.

    Attributes:
        status: running; finished: no job is left; died: its process is gone; unfinished: it was stopped.
        jobs: The number of jobs: all, done (finished, failed, diverged or pruned), each status, and left, which did not
            begin. A search of several seeds or folds has a job for each in every trial. If the study of a search is
            complete, all are those that are done: an interrupted trial was replaced, maybe in another folder.
        seconds: The sum over all jobs that ended.
        is_search: Whether it is a search, in which failed trials are no failure.
    """

    kind: ClassVar[str] = "sweep"

    folder: str
    status: str
    jobs: dict[str, int]
    metric: str | None
    best: BestSoFar | None
    seconds: float
    process: Process
    is_search: bool

    @property
    def has_succeeded(self) -> bool:
        """Whether every job finished or was pruned; of a search, whether it ended and one trial finished."""
        if self.status != "finished":
            return False
        return self.jobs["finished"] > 0 if self.is_search else not self.jobs["failed"] and not self.jobs["diverged"]

    @property
    def resume(self) -> str | None:
        """The line that runs the jobs that are left, if there are some and it is possible."""
        folder = Path(self.folder)
        can_resume = self.status in ("died", "unfinished") and not (self.is_search and not has_storage(folder))
        return resume_sweep_command(folder) if can_resume else None

    def fields(self) -> dict[str, Any]:
        """Return what programs read of it."""
        return {"kind": self.kind, **asdict(self), "resume": self.resume}


def read_sweep_status(folder: Path) -> SweepStatus:
    """Read the status of a sweep. ConfigError if there is none in `folder`."""
    check_is_sweep(folder)
    rows, record = list(sweep_csv.read_rows(folder).values()), sweep_json.read(folder)
    searches = is_search(folder)
    is_complete = not searches or has_all_trials(folder)
    jobs = _count(rows, record, searches, is_complete)
    process = record.get("process")
    is_running = is_alive(process, folder / SWEEP_MANIFEST)
    if is_running or jobs["running"]:
        status = "running"
    elif is_complete and jobs["all"] == jobs["done"]:
        status = "finished"
    else:
        status = "unfinished" if process is None else "died"
    metric = _read_metric(folder)
    return SweepStatus(
        folder=str(folder),
        status=status,
        jobs=jobs,
        metric=metric,
        best=None if metric is None else _find_best(folder, rows, metric, record),
        seconds=round(sum(float(row["seconds"] or 0) for row in rows), 3),
        process=Process.read(process, folder / SWEEP_MANIFEST, is_running),
        is_search=searches,
    )


def _count(rows: Sequence[Row], record: dict[str, Any], searches: bool, is_complete: bool) -> dict[str, int]:
    """Return the numbers of jobs.

    Args:
        is_complete: Whether a search has made all of its trials, some of which may be in other folders.
    """
    statuses = [str(row["status"]) for row in rows]
    begun = len(statuses) - statuses.count("not begun")
    if searches:  # which lists only jobs that have begun
        left = 0 if is_complete else max(0, record.get("jobs", 0) - begun)
    else:
        left = len({*(str(row["job"]) for row in rows), *record.get("folders", {}).values()}) - begun
    names = ("finished", "failed", "diverged", "pruned", "running", "died", "interrupted")
    counts = {name: statuses.count(name) for name in names}
    done = sum(counts[name] for name in _DONE)
    is_over = searches and is_complete and not counts["running"]  # other trials took the place of interrupted ones
    return {"all": done if is_over else begun + left, "done": done, **counts, "left": left}


def _read_metric(folder: Path) -> str | None:
    try:
        return read_sweep_metric(folder)
    except ConfigError:
        return None


def _find_best(folder: Path, rows: Sequence[Row], metric: str, record: dict[str, Any]) -> BestSoFar | None:
    try:
        best = average_choices(folder, rows, metric).best
    except ExpError:  # a metric of the user's own, in a module that is not allowed here
        return None
    if best is None:
        return None
    members, value = best
    planned = [str(name) for name in record.get("varied", []) if name in members[0]]  # only one value may have begun
    varied = dict.fromkeys([*find_varied_columns(rows), *planned])
    choices = {name: str(members[0].get(name, "")) for name in varied if len({row.get(name) for row in members}) == 1}
    return BestSoFar([str(row["job"]) for row in members], value, choices)
