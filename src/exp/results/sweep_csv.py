"""sweep.csv: a row for each job of a sweep."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from exp.config.metric_names import rank
from exp.data.input_files import DATA_PATHS
from exp.errors import as_yaml
from exp.results import csv_file, summary, sweep_json
from exp.results.atomic import replacement
from exp.results.find_runs import job_folders
from exp.results.flat_config import read_flat_config
from exp.results.run_folder import SWEEP_TABLE

# The splits whose metrics are columns.
SPLITS = ("val", "test")


# The columns that are neither choices nor metrics.
OWN = ("job", "status", "seconds", "error")


Row = dict[str, Any]


def sort_best_first(rows: Sequence[Row], metric: str) -> list[Row]:
    """Return the rows sorted by `metric`; rows without it come last, in their order."""
    name = metric.rpartition("/")[0]
    return sorted(rows, key=lambda row: rank(name, read_metric(row, metric)))


def read_rows(folder: Path) -> dict[str, Row]:
    """Return a row for each job in `folder`, by the name of its folder, in the jobs' order."""
    jobs = job_folders(folder)
    rows = {job.name: read_row(job) for job in jobs}
    choices = dict.fromkeys(name for row in rows.values() for name in row if name not in OWN and "/" not in name)
    for job in jobs:
        if missing := [name for name in choices if name not in rows[job.name]]:
            rows[job.name] |= _read_values(job, missing)
    varied: Iterable[str] = sweep_json.read(folder).get("varied", DATA_PATHS)
    for name in (choices.keys() & set(DATA_PATHS)) - set(varied):  # a file that moved is no other choice
        latest = rows[jobs[-1].name].get(name, "")
        rows = {job: row | {name: latest} for job, row in rows.items()}
    return rows


def read_row(job: Path) -> Row:
    """Return a job's row: name, status, overrides, final metrics of val and test, seconds, and the error."""
    content: dict[str, Any] = {"status": "not begun", **summary.read(job)}
    overrides = summary.read_overrides(job, content)
    final: dict[str, dict[str, Any]] = content.get("final", {})
    return {
        "job": job.name,
        "status": content["status"],
        **{key: value for key, _, value in (word.partition("=") for word in overrides) if key not in ("resume", *OWN)},
        **{
            f"{name}/{split}": value
            for split in SPLITS
            for name, value in final.get(split, {}).items()
            if type(value) in (int, float) or value in ("nan", "inf", "-inf")
        },
        "seconds": content.get("seconds", ""),
        "error": (content.get("error") or "").partition("\n")[0],
    }


def _read_values(job: Path, names: Iterable[str]) -> Row:
    """Return the values, from the job's config, of keys that only other jobs of the sweep override."""
    config = {**read_flat_config(job), **summary.read(job).get("choices", {})}
    return {name: as_yaml(config[name]) for name in names if name in config}


def update(folder: Path) -> list[Row]:
    """Write `folder`/sweep.csv anew from the jobs' folders; return its rows."""
    rows = list(read_rows(folder).values())
    write(folder, rows)
    return rows


def write(folder: Path, rows: Iterable[Row]) -> None:
    """Write `folder`/sweep.csv."""
    write_rows(folder / SWEEP_TABLE, rows)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV; a cell is empty if its row has no such column."""
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for last in ("seconds", "error"):
        if last in columns:
            columns.append(columns.pop(columns.index(last)))
    # Shared: under another launcher, jobs end in several processes at once.
    with replacement(path, shared=True) as temporary:
        csv_file.write(temporary, columns, ([row.get(column, "") for column in columns] for row in rows))


def read_metric(row: Row, metric: str) -> float:
    """Return the value of `metric` in a row of sweep.csv, seeds.csv or folds.csv; NaN if the row has none."""
    value = row.get(metric)
    return math.nan if value in (None, "") else float(value)


def metric_value(row: Row, metric: str) -> float:
    """Return the job's value of `metric`; NaN if it did not finish, or has no such metric."""
    return read_metric(row, metric) if row.get("status") == "finished" else math.nan
