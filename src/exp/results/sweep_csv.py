"""sweep.csv: a row for each job of a sweep, beside the jobs' folders."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from exp.config.schema import flatten
from exp.errors import as_yaml
from exp.results import summary
from exp.results.atomic import replacement

NAME = "sweep.csv"


# What a person compares a sweep's jobs by.
SPLITS = ("val", "test")


# The columns that were neither typed nor measured.
OWN = ("job", "status", "seconds", "error")


Row = dict[str, Any]


_SMALLER_IS_BETTER = ("loss", "rmse")


def sort_best_first(rows: Sequence[Row], metric: str) -> list[Row]:
    """The rows sorted by `metric`, those that have none of it last, in their order."""
    sign = 1 if metric.partition("/")[0] in _SMALLER_IS_BETTER else -1

    def place(row: Row) -> tuple[bool, float]:
        value = float(row.get(metric) or "nan")
        return (True, 0.0) if math.isnan(value) else (False, sign * value)

    return sorted(rows, key=place)


def read_rows(folder: Path) -> dict[str, Row]:
    """A row of each job in `folder`, by its folder's name, in the jobs' order."""
    found = sorted((path.parents[1] for path in folder.glob("*/.hydra/overrides.yaml")), key=sort_by_job)
    told = {job.name: read_row(job) for job in found}
    typed = dict.fromkeys(column for row in told.values() for column in row if column not in OWN and "/" not in column)
    for job in found:
        if missing := [name for name in typed if name not in told[job.name]]:
            told[job.name] |= _read_flat_config(job, missing)
    return told


def read_row(job: Path) -> Row:
    """Job, status, what was typed for it, final metrics of val and test, seconds, and what was wrong."""
    content: dict[str, Any] = {"status": "not begun", **summary.read(job)}
    words: list[str] = content.get("overrides") or yaml.safe_load((job / ".hydra/overrides.yaml").read_text()) or []
    final: dict[str, dict[str, Any]] = content.get("final", {})
    return {
        "job": job.name,
        "status": content["status"],
        **{key: value for key, _, value in (word.partition("=") for word in words) if key != "resume"},
        **{
            f"{name}/{split}": value
            for split in SPLITS
            for name, value in final.get(split, {}).items()
            if isinstance(value, int | float) or value in ("nan", "inf", "-inf")
        },
        "seconds": content.get("seconds", ""),
        "error": (content.get("error") or "").partition("\n")[0],
    }


def _read_flat_config(job: Path, names: Iterable[str]) -> Row:
    """What was not typed for that job, though for others of its sweep: what it was by default."""
    chosen: dict[str, Any] = summary.read(job).get("choices", {})
    with (job / ".hydra" / "config.yaml").open(encoding="utf-8") as file:
        config = flatten(yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))) | chosen
    return {name: as_yaml(config[name]) for name in names if name in config}


def update(folder: Path) -> list[Row]:
    """Write `folder`/sweep.csv from what its jobs left; return the rows."""
    rows = list(read_rows(folder).values())
    write(folder, rows)
    return rows


def write(folder: Path, rows: Iterable[Row]) -> None:
    """Write `folder`/sweep.csv."""
    write_rows(folder / NAME, rows)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Put the rows at `path` in one move; a cell stays empty where a row has nothing for it."""
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for last in ("seconds", "error"):
        if last in columns:
            columns.append(columns.pop(columns.index(last)))
    # Shared: under another launcher, jobs end in several processes at once.
    with replacement(path, shared=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def metric_value(row: Row, metric: str) -> float:
    """What a search is told of the job: NaN unless it finished, and has that metric."""
    return float(row.get(metric, "nan")) if row.get("status") == "finished" else float("nan")


def sort_by_job(job: Path) -> tuple[int, str]:
    return (int(job.name) if job.name.isdigit() else 0, job.name)
