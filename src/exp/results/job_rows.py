"""The rows that jobs were trained and evaluated on: which repeats are of another split, and how much splits share."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from exp.errors import pluralize
from exp.results import summary
from exp.results.sweep_csv import Row


@dataclass(frozen=True)
class JobRows:
    """The number of rows of each split of a job, its notes, and which engine it asked for and used.

    `split` is equal for jobs with the same rows in the same splits. An engine, `dataset`, the option, and `loss`, the
    option or what was decided for auto, are empty where they are not known. `target` is equal for jobs with the same
    values to predict in the same test rows, whatever the columns are.
    """

    split: str
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    engine: str = ""
    engine_used: str = ""
    dataset: str = ""
    loss: str = ""
    target: str = ""

    @property
    def division(self) -> str:
        """Which rows are in which split, by their numbers: equal also where the columns are others."""
        return self.split.rpartition(" ")[2]

    def ratio(self, split: str) -> float:
        """Return the rows of `split` for each training row; NaN if the job has no such rows."""
        train = self.counts.get("train", 0)
        return self.counts[split] / train if train and split in self.counts else math.nan


# By the names of the jobs' folders.
AllRows: TypeAlias = Mapping[str, JobRows]


def read_job_rows(folder: Path, rows: Iterable[Row]) -> dict[str, JobRows]:
    """Return the rows of each finished job of the sweep in `folder`, from its summary.json."""
    found: dict[str, JobRows] = {}
    for job in (str(row["job"]) for row in rows if row["status"] == "finished"):
        content = summary.read(folder / job)
        # A run of an earlier version has no split_sha256: its split may be its own.
        split = f"{content.get('data_sha256')} {content.get('split_sha256', job)}"
        counts: dict[str, Any] = content.get("rows", {})
        known = {name: count for name, count in counts.items() if isinstance(count, int)}
        notes = tuple(map(str, content.get("notes", [])))
        engine, used = (str(content.get(name, "")) for name in ("engine", "engine_used"))
        options: dict[str, Any] = content.get("choices", {})
        loss = content.get("decided", {}).get("loss", options.get("loss", ""))
        dataset = str(options.get("dataset", ""))
        found[job] = JobRows(split, known, notes, engine, used, dataset, str(loss), _target(content))
    return found


def _target(content: Mapping[str, Any]) -> str:
    """Return what is equal for equal targets: the baseline depends on them alone. Without one it is the fingerprint."""
    baseline: dict[str, Any] = content.get("baseline", {})
    metrics: object = baseline.get("metrics")
    if not isinstance(metrics, dict):
        return str(content.get("data_sha256"))
    of_target = {name: value for name, value in cast("dict[str, Any]", metrics).items() if name != "loss"}
    return f"{baseline.get('name')} {of_target} {content.get('split_sha256')}"


def find_notes(known: AllRows) -> list[str]:
    """Return the notes that all jobs have, such as on rows that were left out, and how many made steps otherwise."""
    first, *others = known.values() or [JobRows("", {})]
    shared = [note for note in dict.fromkeys(first.notes) if all(note in other.notes for other in others)]
    is_said = any(" is in use: " in note for note in shared)  # of all jobs, and why
    return shared if is_said else [*shared, *_fallbacks(known)]


def _fallbacks(known: AllRows) -> Iterator[str]:
    """Yield for each engine that jobs asked for, and that some did not use, how many used which."""
    for engine in ("compiled", "replay"):
        jobs = [job for job in known.values() if job.engine == engine]
        used = Counter(job.engine_used for job in jobs if job.engine_used not in ("", engine))
        if used:
            each = ", ".join(f"{count} to {other}" for other, count in used.most_common())
            fell = f"{used.total()} of {pluralize(len(jobs), 'job')} fell back: {each}"
            yield f"engine={engine} was asked for, and {fell}; exp.log of each says why"


def average_splits(
    values: Sequence[float], jobs: Sequence[tuple[str, ...]], split: str, known: AllRows
) -> tuple[list[float], float]:
    """Return the values that a t-test is over, and its ratio: the rows of `split` for each training row.

    If all jobs have the same rows in the same splits, the values are independent, and the ratio is 0: what varies is
    the initial parameters or the order of the rows. Otherwise the ratio is that of the jobs, NaN if it is not known,
    and values of the same rows are replaced by their mean, because they say nothing about other rows.

    Args:
        values: The results of repeats [N].
        jobs: For each repeat the job, or the jobs that are compared.
    """
    by_rows: dict[tuple[str, ...], list[float]] = {}
    for value, names in zip(values, jobs, strict=True):
        by_rows.setdefault(tuple(known[job].split if job in known else job for job in names), []).append(value)
    if len(by_rows) < 2:
        return list(values), 0.0
    ratios = [known[job].ratio(split) if job in known else math.nan for names in jobs for job in names]
    return [statistics.fmean(some) for some in by_rows.values()], statistics.fmean(ratios)


def mean_of_splits(values: Sequence[float], jobs: Iterable[str], split: str, known: AllRows) -> float:
    """Return the mean of the values of jobs [N], in which each division of the rows has the same weight."""
    return statistics.fmean(average_splits(values, [(job,) for job in jobs], split, known)[0])
