"""Mean and standard deviation, over repeats, of the validation curves of a sweep's jobs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from exp.results import metrics_csv

# For each column of metrics.csv, the mean over jobs at every evaluation, and the standard deviation (0 for one job).
Curves: TypeAlias = tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]


@np.errstate(invalid="ignore")  # infinite metrics
def mean_curves(folders: Sequence[Path]) -> Curves:
    """Return mean and deviation over the jobs, at the steps at which all of them were evaluated.

    Metrics that the validation rows of a job do not define are left out.

    Folds differ in size by a row, and so their epochs may differ by a step: if more epochs than steps are common to all
    jobs, those are the points.
    """
    jobs = [_read_val_columns(folder) for folder in folders]
    by_axis = {axis: set[float].intersection(*(set(job[axis]) for job in jobs)) for axis in ("step", "epoch")}
    axis = max(by_axis, key=lambda name: len(by_axis[name]))
    common = sorted(by_axis[axis])
    at = [[job[axis].index(point) for point in common] for job in jobs]
    stacked = {
        name: np.array([[job[name][index] for index in indices] for job, indices in zip(jobs, at, strict=True)])
        for name in (jobs[0] if common else ())
        if all(name in job for job in jobs)
    }
    many = len(jobs) > 1
    return (
        {name: values.mean(0) for name, values in stacked.items()},
        {name: values.std(0, ddof=1) if many else 0 * values[0] for name, values in stacked.items()},
    )


def _read_val_columns(job: Path) -> dict[str, list[float]]:
    """Return the columns of the job's validation rows."""
    rows = list(metrics_csv.read_rows(job, "val"))
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    return {name: [float(getattr(row, name)) for row in rows] for name in ("step", "epoch", "samples", "seconds")} | {
        name: [row.metrics.get(name, math.nan) for row in rows] for name in names
    }
