"""The page of a sweep: means over its repeats, the metric against each choice, figures, and every job."""

import math
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from exp.errors import ConfigError
from exp.reports import html
from exp.reports.html import Link, Table
from exp.reports.render import render
from exp.reports.scatter import Point, Scatter, scatter
from exp.reports.search_lines import importances_table
from exp.results import repeats, run_folder, search_json, summary, sweep_json
from exp.results.formatting import format_interval, format_mean_std, format_metric
from exp.results.heartbeat import is_alive
from exp.results.job_counts import describe_unfinished
from exp.results.job_rows import AllRows, find_notes, read_job_rows
from exp.results.run_folder import config_dir_in
from exp.results.search_json import SearchRecord
from exp.results.sweep_csv import Row, read_metric, sort_best_first
from exp.results.ties import Ties, find_ties
from exp.results.yaml_file import read_yaml

# More jobs are not listed.
_MAX_LISTED = 2_000


# Overrides that only name the folder.
_FOLDER_OVERRIDES = ("hydra.mode=", "hydra.sweep.dir=", "sweep.resume=")


def write_page(folder: Path, rows: Sequence[Row]) -> None:
    """Write the page of the sweep in `folder`, whose jobs are `rows`."""
    command, metric = _command_and_metric(folder)
    results = SweepResults(folder, rows, metric)
    unfinished = _describe_unfinished(folder, rows)
    process = sweep_json.read(folder).get("process")  # that of a sweep that ended is removed
    has_died = process is not None and not is_alive(process, folder / run_folder.SWEEP_MANIFEST)
    pruned = sum(row["status"] == "pruned" for row in rows)
    jobs = f"{len(results.finished)} of {len({*_planned(folder), *_names(rows)})} jobs finished"
    died = ", and its process died" if unfinished is not None and has_died else ""
    failures = [row for row in rows if row["error"]][:_MAX_LISTED]
    html.write(
        folder / run_folder.REPORT,
        "sweep.html",
        title=f"sweep: {jobs}{f', {pruned} pruned' if pruned else ''}{died}",
        folder=folder,
        command=command,
        answer=results.answer(),
        repeated=results.repeated,
        verdict=results.verdict(),
        search=results.search,
        importances=importances_table(results.search),
        charts=results.charts(),
        pictures=html.read_pictures(folder / run_folder.FIGURES),
        listed=_MAX_LISTED if len(rows) > _MAX_LISTED else None,
        table_file=run_folder.SWEEP_TABLE,
        metric=results.by,
        jobs=results.jobs(),
        failures=[(row["job"], row["status"], row["error"]) for row in failures],
        notes=[*find_notes(results.known), *filter(None, (repeats.undefined_note(rows), unfinished))],
        machine=summary.format_environment(folder / str(results.finished[0]["job"])) if results.finished else "",
    )


def render_cell(folder: Path, rows: Sequence[Row]) -> str:
    """Return the HTML that a notebook shows for a sweep: its answer, or else its jobs, and its pictures."""
    results = SweepResults(folder, rows, _command_and_metric(folder)[1])
    return render(
        "sweep_cell.html",
        answer=results.answer(),
        verdict=results.verdict() if results.repeated else "",
        jobs=results.jobs(),
        pictures=html.read_pictures(folder / run_folder.FIGURES),
    )


def _planned(folder: Path) -> list[str]:
    """Return the names of the jobs in the sweep's manifest; none if it cannot be read."""
    return list(map(str, sweep_json.read(folder).get("folders", {}).values()))


def _describe_unfinished(folder: Path, rows: Sequence[Row]) -> str | None:
    with suppress(ConfigError):  # Hydra's record of the sweep is damaged
        return describe_unfinished(folder, rows)
    return None


def _names(rows: Sequence[Row]) -> list[str]:
    return [str(row["job"]) for row in rows]


def _command_and_metric(folder: Path) -> tuple[str, str]:
    """Return the command line and the metric to sort by; "" and the default metric if multirun.yaml cannot be read."""
    try:
        content: Any = read_yaml(folder / run_folder.MULTIRUN)
        settings: dict[str, list[str]] = content["hydra"]["overrides"]
        overrides = [word for word in (*settings["hydra"], *settings["task"]) if not word.startswith(_FOLDER_OVERRIDES)]
        arguments = [*config_dir_in(content["hydra"]), *overrides]
        return f"python -m exp -m {shlex.join(arguments)}", str(content["sweep"]["metric"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return "", "loss/val"


@dataclass(frozen=True)
class SweepResults:
    """The jobs of the sweep in `folder`, to be sorted by `metric`."""

    folder: Path
    rows: Sequence[Row]
    metric: str

    @cached_property
    def names(self) -> list[str]:
        """The choices in which the jobs differ."""
        return repeats.find_varied_columns(self.rows)

    @cached_property
    def metrics(self) -> list[str]:
        return repeats.metric_columns(self.rows)

    @property
    def by(self) -> str:
        """`metric`, or the first metric if no job has it."""
        return self.metric if self.metric in self.metrics or not self.metrics else self.metrics[0]

    @cached_property
    def finished(self) -> list[Row]:
        return [row for row in self.rows if row["status"] == "finished"]

    def answer(self) -> Table | None:
        """Return a row for each choice, with mean and deviation over its repeats; None if it has none."""
        choices, others = repeats.choice_columns(self.rows), [name for name in self.metrics if name != self.by]
        rows: list[tuple[str, ...]] = []
        for row in self.means:
            values = tuple(str(row.get(name, "")) for name in choices)
            marks = [] if self.ties is None else [self.ties.mark(values)]
            means = [format_mean_std(self.by, row), format_interval(self.by, repeats.interval_of(row, self.by))]
            means += [] if self.ties is None else self.ties.cells(self.by, values)
            rows.append((*values, str(row["n"]), *marks, *means, *(format_mean_std(name, row) for name in others)))
        mark, minus = [], list[str]()
        if self.ties is not None:
            mark, minus = ["best?"], ["minus the best", f"{100 * self.ties.level:.3g} % interval of it"]
        return Table((*choices, "n", *mark, self.by, "95 % interval", *minus, *others), rows) if rows else None

    def verdict(self) -> str:
        """Return a sentence on which choice is the best, or on why the jobs do not tell; empty for a single choice."""
        if (note := repeats.other_meaning_note(self.rows, self.by, self.known)) is not None:
            return f"{note}."
        if self.ties is not None:
            return f"Best: {self.ties.describe()}."
        if repeats.name_repeats(self.rows) or len(self.finished) < 2:
            return ""
        return (
            "Each choice was trained once, so nothing says how much of a difference is chance. "
            "Add seed=range(0,5) or folds=5."
        )

    @property
    def repeated(self) -> str:
        """What varies between the repeats of a choice: seeds, folds."""
        return repeats.name_repeats(self.rows)

    @cached_property
    def known(self) -> AllRows:
        return read_job_rows(self.folder, self.rows)

    @cached_property
    def means(self) -> list[Row]:
        """The rows of `repeats.mean_rows`, the best first; empty without repeats."""
        return repeats.sort_means(repeats.mean_rows(self.rows, self.known), self.by)

    @cached_property
    def ties(self) -> Ties | None:
        return find_ties(self.rows, self.by, self.known)

    def jobs(self) -> Table:
        """Return a row for each job, with a link to its page: the best first, unfinished jobs last."""
        others = [row for row in self.rows if row["status"] != "finished"]
        missing = sorted({*_planned(self.folder)} - {*_names(self.rows)}, key=lambda name: (len(name), name))
        rows: list[tuple[Link | str, ...]] = [
            (
                Link(str(row["job"]), self._link(row)),
                str(row["status"]),
                *(str(row.get(name, "")) for name in self.names),
                *(format_metric(name, row.get(name)) for name in self.metrics),
                format_metric("seconds", row.get("seconds")),
            )
            for row in [*sort_best_first(self.finished, self.by), *others][:_MAX_LISTED]
        ]
        blank = [""] * (len(self.names) + len(self.metrics) + 1)
        rows += [(name, "not begun", *blank) for name in missing[: _MAX_LISTED - len(rows)]]
        return Table(("job", "status", *self.names, *self.metrics, "seconds"), rows)

    def charts(self) -> list[Scatter]:
        """Return a chart of the metric against each choice, of the jobs that have the metric."""
        measured = [row for row in self.finished if math.isfinite(read_metric(row, self.by))]
        thinned = measured[:: max(1, -(-len(measured) // _MAX_LISTED))]
        choices, log = repeats.choice_columns(self.rows), () if self.search is None else self.search.log
        return [
            scatter(name, self.by, [self._point(row, name) for row in thinned], is_log=name in log)
            for name in choices
            if thinned
        ]

    @cached_property
    def search(self) -> SearchRecord | None:
        """What the search found; None for a sweep that is no search."""
        return search_json.read(self.folder)

    def _point(self, row: Row, name: str) -> Point:
        choices = " ".join(f"{one}={row[one]}" for one in self.names if one in row)
        return Point(str(row.get(name, "")), read_metric(row, self.by), self._link(row), f"job {row['job']}, {choices}")

    def _link(self, row: Row) -> str:
        """Return the address of the job's page, or of its folder if it has none."""
        job = str(row["job"])
        return quote(f"{job}/{run_folder.REPORT}" if (self.folder / job / run_folder.REPORT).exists() else f"{job}/")
