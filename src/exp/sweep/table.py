"""sweep.csv: a row for each job of a sweep, beside the jobs' folders."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from exp import record

NAME = "sweep.csv"
# What a person compares a sweep's jobs by.
SPLITS = ("val", "test")

Row = dict[str, Any]


def rows(folder: Path) -> dict[str, Row]:
    """A row of each job in `folder`, by its folder's name, in the jobs' order."""
    found = sorted((path.parents[0] for path in folder.glob("*/.hydra")), key=in_order)
    return {job.name: row(job) for job in found}


def row(job: Path) -> Row:
    """Job, status, what was typed for it, final measures of val and test, seconds, and what was wrong."""
    content: dict[str, Any] = {"status": "failed", **record.read(job)}  # failed: it could not even say that it began
    words: list[str] = content.get("overrides") or yaml.safe_load((job / ".hydra/overrides.yaml").read_text())
    final: dict[str, dict[str, float]] = content.get("final", {})
    return {
        "job": job.name,
        "status": content["status"],
        **{key: value for key, _, value in (word.partition("=") for word in words)},
        **{f"{name}/{split}": value for split in SPLITS for name, value in final.get(split, {}).items()},
        "seconds": content.get("seconds", ""),
        "error": (content.get("error") or "").partition("\n")[0],
    }


def write(path: Path, rows: Iterable[Row]) -> None:
    """Put the rows at `path` in one move; a cell stays empty where a row has nothing for it."""
    rows = list(rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    for last in ("seconds", "error"):
        if last in columns:
            columns.append(columns.pop(columns.index(last)))
    beside = path.with_name(f"{path.name}.{os.getpid()}")  # jobs may end in several processes at once
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(path)


def value(row: Row, measure: str) -> float:
    """What a search is told of the job: NaN unless it finished, and has that measure."""
    return float(row.get(measure, "nan")) if row.get("status") == "finished" else float("nan")


def in_order(job: Path) -> tuple[int, str]:
    return (int(job.name) if job.name.isdigit() else 0, job.name)
