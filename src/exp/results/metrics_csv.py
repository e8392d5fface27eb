"""metrics.csv: a row for each logged moment."""

import csv
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from exp.results.atomic import replacement
from exp.training.events import Built, Ending, Evaluated, Event, Snapshot, Trained

NAME = "metrics.csv"


def read_curves(metrics: Path, points: int) -> tuple[list[str], dict[str, list[tuple[int, dict[str, float]]]]]:
    """The metrics' names, and of each split (step, values), thinned while reading to a few thousand points."""
    curves: dict[str, list[tuple[int, dict[str, float]]]] = {}
    strides: dict[str, int] = {}
    seen: dict[str, int] = {}
    with metrics.open(newline="") as file:
        reader = csv.reader(file)
        columns = next(reader)[5:]
        for step, _, _, _, split, *values in reader:
            index = seen[split] = seen.get(split, -1) + 1
            curve = curves.setdefault(split, [])
            if index % strides.setdefault(split, 1):
                continue
            curve.append(
                (int(step), {name: float(value) for name, value in zip(columns, values, strict=True) if value})
            )
            if len(curve) >= 2 * points:
                curves[split] = curve[::2]
                strides[split] *= 2
    return columns, curves


# Step, seconds, split and metrics.
Row: TypeAlias = tuple[int, float, str, dict[str, float]]


# How long a row may be in memory alone.
_MAX_SECONDS_UNFLUSHED = 0.2


_FIXED_COLUMNS = ["step", "epoch", "samples", "seconds", "split"]


class MetricsCsvSink:
    """Writes `folder`/metrics.csv as training goes, so that what was measured is on the disk whatever happens next.

    Rows of split `train` are means over the batches since the last such row, each before its update; rows of `val` and
    `test` are the whole split under the parameters of that step. Reading a number back gives the same bits.
    With `since`, the rows after that step are taken away, and the table goes on from there.
    """

    def __init__(self, folder: Path, since: int | None = None) -> None:
        path = folder / NAME
        self._since = since
        self._seconds = 0.0 if since is None else _truncate_after(path, since)
        self._file = path.open("w" if since is None else "a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._flushed = 0.0
        self._metrics: tuple[str, ...] = ()
        self._began = 0.0

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._metrics = ("loss", *event.metrics)
            self._began = time.perf_counter() - self._seconds
            if self._file.tell() == 0:
                self._writer.writerow([*_FIXED_COLUMNS, *self._metrics])
        elif isinstance(event, Trained | Evaluated):
            split = "train" if isinstance(event, Trained) else event.split
            # Training rows are means over batches; the final evaluation of that split is not one: summary.json has it.
            told = self._since is not None and event.at.step <= self._since and split != "test"
            if (isinstance(event, Trained) or split != "train") and not told:
                at, values = event.at, event.metrics.values()
                seconds = time.perf_counter() - self._began
                row = [at.step, f"{at.epoch:.10g}", at.samples, f"{seconds:.6f}", split]
                self._writer.writerow([*row, *(values.get(name, "") for name in self._metrics)])
                if seconds - self._flushed > _MAX_SECONDS_UNFLUSHED:
                    self._flushed = seconds
                    self._file.flush()
        if not isinstance(event, Trained):  # these come in dozens; what comes behind them takes them along
            self._file.flush()
        if isinstance(event, Snapshot) and not event.best:
            os.fsync(self._file.fileno())  # what a resumed run does not measure again must be there

    def close(self, ending: Ending) -> None:
        del ending
        self._file.close()


def read_rows(folder: Path) -> Iterator[Row]:
    """Each row of `folder`/metrics.csv that is whole; none if there is no such file."""
    path = folder / NAME
    if path.exists():
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            header = file.readline().strip().split(",")
            yield from (row for line in file if (row := _parse_row(header, line)) is not None)


def _parse_row(header: list[str], line: str) -> Row | None:
    values = line.rstrip("\r\n").split(",")
    if not line.endswith("\n") or len(values) != len(header):
        return None
    metrics = zip(header[len(_FIXED_COLUMNS) :], values[len(_FIXED_COLUMNS) :], strict=True)
    try:
        return int(values[0]), float(values[3]), values[4], {name: float(value) for name, value in metrics if value}
    except ValueError:  # damaged
        return None


def _truncate_after(path: Path, step: int) -> float:
    """Take away what came after the snapshot of that step; the seconds of the last row that stays."""
    seconds = 0.0
    path.touch()
    with (
        replacement(path, sync=True) as temporary,
        path.open(newline="", encoding="utf-8", errors="replace") as old,
        temporary.open("w", newline="", encoding="utf-8") as new,
    ):
        header = old.readline()
        new.write(header)
        for line in old:
            row = _parse_row(header.strip().split(","), line)
            # A row that the process did not finish writing is of a later step: a snapshot comes after its step's rows.
            if row is not None and row[0] <= step and row[2] != "test":
                new.write(line)
                seconds = row[1]
    return seconds
