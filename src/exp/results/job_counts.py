"""How many jobs of a sweep finished, and which folders of them are missing. Imports no torch."""

import csv
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from exp.config.metric_names import as_cost
from exp.errors import pluralize
from exp.results import csv_file, sweep_csv, sweep_json
from exp.results.formatting import format_metric
from exp.results.resume_line import NO_STORAGE, describe_resume, has_all_trials, is_search
from exp.results.run_folder import SWEEP_MANIFEST, SWEEP_TABLE
from exp.results.sweep_csv import Row

# The statuses of jobs that are over. The others run, or were stopped.
_OVER = ("finished", "failed", "died", "diverged", "pruned")

# Folders that are listed by name.
_MAX_NAMES = 10


def count_jobs(folder: Path, rows: Sequence[Row]) -> dict[str, int]:
    """Return the number of jobs by status, those of _OVER and `unfinished`, of the sweep in `folder`.

    Jobs that did not begin are unfinished.

    Args:
        rows: The rows of the jobs that have a folder.
    """
    statuses = [str(row["status"]) for row in rows]
    counts = {status: statuses.count(status) for status in _OVER}
    total = len({*(str(row["job"]) for row in rows), *sweep_json.read(folder).get("folders", {}).values()})
    counts["unfinished"] = total - sum(counts.values()) - len(_missing(folder, rows))
    return {status: count for status, count in counts.items() if count}


def describe_unfinished(folder: Path, rows: Sequence[Row]) -> str | None:
    """Return how many jobs finished, and how to run the others; None if none is left."""
    counts, has_record = count_jobs(folder, rows), (folder / SWEEP_MANIFEST).exists()
    to_run = {"unfinished", "died"} if has_record and is_search(folder) else {"unfinished", "died", "failed"}
    if not counts.keys() & to_run or (has_record and is_search(folder) and has_all_trials(folder)):
        return None
    listed = ", ".join(f"{count} {status}" for status, count in counts.items())
    counted = f"of {pluralize(sum(counts.values()), 'job')}: {listed}"
    if not has_record:
        return counted
    resume = describe_resume(folder)
    return f"{counted}; {'' if resume == NO_STORAGE else 'for the others: '}{resume}"


def describe_missing(folder: Path, rows: Sequence[Row], metric: str, best: float) -> str | None:
    """Return which finished jobs of sweep.csv have no folder any more, so that they are not compared; None if none.

    Args:
        best: The value of `metric` of the best choice of the others.
    """
    missing = _missing(folder, rows)
    if not missing:
        return None
    names = [str(row["job"]) for row in missing]
    listed = ", ".join(names if len(names) <= _MAX_NAMES else [*names[:_MAX_NAMES], "..."])
    folders = f"the folder{'s' * (len(names) > 1)} of job{'s' * (len(names) > 1)} {listed}"
    what = f"{folders} {'are' if len(names) > 1 else 'is'} missing, and not compared"
    name, costs = metric.rpartition("/")[0], [(sweep_csv.read_metric(row, metric), str(row["job"])) for row in missing]
    known = [(as_cost(name, value), job, value) for value, job in costs if not math.isnan(value)]
    if known and min(known)[0] < as_cost(name, best):
        _, job, value = min(known)
        what += f"; job {job} was better, with {metric} {format_metric(metric, value)}"
    return what


def _missing(folder: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the finished jobs of sweep.csv that have no folder."""
    present = {str(row["job"]) for row in rows}
    with suppress(OSError, ValueError, KeyError, csv.Error):
        table = csv_file.read(folder / SWEEP_TABLE)
        return [dict(row) for row in table if row["status"] == "finished" and row["job"] not in present]
    return []
