"""The means of metrics over the seeds and folds of each choice of a sweep. Imports no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exp.config import own_metrics
from exp.config.metric_names import as_cost
from exp.results import repeats, sweep_csv
from exp.results.job_rows import AllRows, mean_of_splits, read_job_rows
from exp.results.repeats import REPEATED
from exp.results.run_folder import add_user_modules_to_path
from exp.results.sweep_csv import Row


@dataclass(frozen=True)
class Averages:
    """The choices of a sweep with the most finished jobs.

    Attributes:
        choices: The jobs of each, by seed and then by fold, and the mean of the metric; NaN if they do not have it.
        best: The one with the best mean; None if there is none.
    """

    choices: list[tuple[list[Row], float]]
    best: tuple[list[Row], float] | None
    job_rows: AllRows


def average_choices(folder: Path, rows: Sequence[Row], metric: str) -> Averages:
    """Average `metric` over the jobs of each choice in `repeats.find_complete_choices`."""
    complete = [sorted(members, key=_by_repeat) for members in repeats.find_complete_choices(rows).values()]
    name = metric.rpartition("/")[0]
    if complete and own_metrics.is_own(name):
        add_user_modules_to_path(folder / str(rows[0]["job"]))
    job_rows = read_job_rows(folder, [row for members in complete for row in members])
    choices = [(members, _mean(members, metric, job_rows)) for members in complete]
    known = [choice for choice in choices if not math.isnan(choice[1])]
    return Averages(choices, min(known, key=lambda choice: as_cost(name, choice[1]), default=None), job_rows)


def mean_metrics(folder: Path, jobs: Sequence[str]) -> dict[str, float]:
    """Return the mean over finished `jobs` of each metric that all of them have, as `average_choices` takes it."""
    rows = [sweep_csv.read_row(folder / job) for job in jobs]
    known, names = read_job_rows(folder, rows), repeats.metric_columns(rows)
    return {name: _mean(rows, name, known) for name in names if all(name in row for row in rows)}


def _mean(members: Sequence[Row], metric: str, known: AllRows) -> float:
    values, jobs = [sweep_csv.read_metric(row, metric) for row in members], [str(row["job"]) for row in members]
    return mean_of_splits(values, jobs, metric.rpartition("/")[2], known)


def _by_repeat(row: Row) -> tuple[int, ...]:
    """Sort by seed, then by fold."""
    return tuple(int(value) if (value := str(row.get(key, ""))).isdecimal() else 0 for key in REPEATED)
