"""What came out of a sweep, on one page: its answer, each choice against the measure, the comparison, every job."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import yaml

from exp import page, record
from exp.page import Html, chapter, element, folded
from exp.sweeps import seeds, table
from exp.sweeps.answer import best_first, figure, scattered
from exp.sweeps.scatter import Point, chart
from exp.sweeps.table import Row

NAME = "report.html"
# More jobs than this are no page.
_MOST = 2_000


def write(folder: Path, rows: Sequence[Row]) -> None:
    """The page of the sweep in `folder`, whose jobs are these."""
    line, measure = _typed(folder)
    names = seeds.varied(rows)
    measures = list(dict.fromkeys(name for row in rows for name in row if seeds.is_measure(name)))
    measure = measure if measure in measures or not measures else measures[0]
    finished = [row for row in rows if row["status"] == "finished"]
    some = finished[:: max(1, -(-len(finished) // _MOST))]
    parts = [element("p", str(folder), class_="quiet"), element("p", element("code", line))]
    if means := best_first(seeds.grouped(rows), measure):
        parts.append(
            chapter("The answer: mean and deviation of the seeds, the best first", _means(means, names, measures))
        )
    charts = [
        chart(name, measure, points)
        for name in names
        if name != "seed" and (points := _points(folder, some, name, names, measure))
    ]
    if charts:
        parts.append(chapter("Each choice", *charts))
    if paths := page.pictures(folder / "figures"):
        parts.append(chapter("Side by side", *paths))
    best = best_first(rows, measure)
    which = "Every job" if len(rows) <= _MOST else f"The best {_MOST:,} jobs; all are in {table.NAME}"
    parts.append(chapter(f"{which}, by {measure}", _jobs(folder, best[:_MOST], names, measures)))
    if lost := [row for row in rows if row["error"]]:
        told = [(str(row["job"]), str(row["status"]), str(row["error"])) for row in lost]
        parts.append(chapter("What went wrong", page.table(("job", "status", "error"), told[:_MOST])))
    for row in finished[:1]:
        parts.append(folded("machine of the first job", record.machine(folder / str(row["job"]))))
    counts = f"{len(finished)} of {len(rows)} jobs finished"
    page.write(folder / NAME, f"sweep: {counts}", *parts)


def _typed(folder: Path) -> tuple[str, str]:
    """The command line, and the measure to sort by."""
    with (folder / "multirun.yaml").open(encoding="utf-8") as file:
        content = cast("dict[str, Any]", yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    words: list[str] = content["hydra"]["overrides"]["task"]
    return f"python -m exp -m {shlex.join(words)}", str(content["sweep"]["measure"])


def _means(means: Sequence[Row], names: Sequence[str], measures: Sequence[str]) -> Html:
    head = [name for name in names if name != "seed"]
    told = [
        (*(str(row.get(name, "")) for name in head), f"{row['n']}", *(scattered(name, row) for name in measures))
        for row in means
    ]
    return page.table((*head, "n", *measures), told, sortable=True)


def _jobs(folder: Path, rows: Sequence[Row], names: Sequence[str], measures: Sequence[str]) -> Html:
    told = [
        (
            element("a", str(row["job"]), href=_link(folder, row)),
            str(row["status"]),
            *(str(row.get(name, "")) for name in names),
            *(figure(name, row.get(name)) for name in measures),
            figure("seconds", row.get("seconds")),
        )
        for row in rows
    ]
    return page.table(("job", "status", *names, *measures, "seconds"), told, sortable=True)


def _points(folder: Path, rows: Sequence[Row], name: str, names: Sequence[str], measure: str) -> list[Point]:
    """Each job that has the measure."""
    return [
        Point(
            str(row.get(name, "")), float(row[measure]), _link(folder, row), f"job {row['job']}, {_choices(row, names)}"
        )
        for row in rows
        if math.isfinite(float(row.get(measure) or "nan"))
    ]


def _choices(row: Row, names: Sequence[str]) -> str:
    return " ".join(f"{name}={row[name]}" for name in names if name in row)


def _link(folder: Path, row: Row) -> str:
    """The job's own page, or its folder."""
    job = str(row["job"])
    return quote(f"{job}/{NAME}" if (folder / job / NAME).exists() else f"{job}/")
