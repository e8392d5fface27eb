"""metrics.csv: a row for each logged step and each evaluation."""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from exp.results.atomic import replacement
from exp.results.flush_timer import FlushTimer
from exp.results.run_folder import METRICS
from exp.training.curves import curves_of
from exp.training.events import Built, Ending, Evaluated, Event, Trained

if TYPE_CHECKING:
    from exp.data.batches import Positions


class Row(NamedTuple):
    """A line of metrics.csv; `metrics` holds the cells that are not empty, by column."""

    step: int
    epoch: float
    samples: int
    seconds: float
    split: str
    metrics: dict[str, float]


# Bytes at the end of the file that are read first.
_TAIL = 1 << 14


_FIXED_COLUMNS = ["step", "epoch", "samples", "seconds", "split"]


class MetricsCsvSink:
    """Writes `folder`/metrics.csv during training.

    Rows of split `train` are means over the batches since the previous such row, each before its update; rows of `val`
    and `test` are metrics of the whole split under the parameters of that step. A number reads back with the same bits.

    Args:
        resume_step: Of a resumed run, the step after which rows are removed; None starts a new file.
    """

    def __init__(self, folder: Path, resume_step: int | None = None) -> None:
        path = folder / METRICS
        self._resume_step = resume_step
        self._seconds = 0.0 if resume_step is None else _truncate_after(path, resume_step)
        self.file = path.open("w" if resume_step is None else "a", newline="", encoding="utf-8")
        self._timer = FlushTimer()
        self._metrics: tuple[str, ...] = ()
        self._began = 0.0

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._metrics = ("loss", *event.metrics)
            self._began = time.perf_counter() - self._seconds
            if self.file.tell() == 0:
                csv.writer(self.file).writerow([*_FIXED_COLUMNS, *self._metrics])
        elif isinstance(event, Trained | Evaluated):
            seconds = f"{time.perf_counter() - self._began:.6f}"
            lines = [line for curve in curves_of(event, self._resume_step) for line in self._lines(seconds, *curve)]
            lines.sort(key=itemgetter(0))  # the training rows of a step stay before its validation row
            self.file.writelines([line for _, line in lines])
        if self._timer.is_due(event):
            self.file.flush()

    def _lines(
        self, seconds: str, split: str, at: "Positions", metrics: Mapping[str, Sequence[float]]
    ) -> Iterator[tuple[int, str]]:
        """Return the step and the line of each position."""
        named = [name for name in self._metrics if name in metrics]
        cells = ("%s" if name in metrics else "" for name in self._metrics)
        line = ",".join(["%s,%.10g,%s", seconds, split, *cells]) + "\r\n"
        rows = zip(*at, *(metrics[name] for name in named), strict=True)
        # As csv.writer would write them, in half the time.
        return ((row[0], line % row) for row in rows)

    def close(self, ending: Ending) -> None:
        del ending
        self.file.close()


def read_rows(folder: Path, split: str | None = None) -> Iterator[Row]:
    """Read `folder`/metrics.csv row by row, without damaged rows; no rows if there is no such file.

    Args:
        split: The split whose rows to read, of many more; None: all of them.
    """
    path, cell = folder / METRICS, "" if split is None else f",{split},"
    if path.exists():
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            names = _metric_names(file.readline())
            rows = (_parse_row(names, line) for line in file if cell in line)
            yield from (row for row in rows if row is not None and split in (None, row.split))


def read_last(folder: Path) -> dict[str, Row]:
    """Return the last row of each split, read from the end of `folder`/metrics.csv: a long run has millions of rows."""
    path = folder / METRICS
    if not path.exists():
        return {}
    with path.open("rb") as file:
        names, first, end = _metric_names(file.readline().decode(errors="replace")), file.tell(), file.seek(0, 2)
        for size in (_TAIL, 64 * _TAIL, end):
            start = file.seek(max(first, end - size))
            lines = file.read(end - start).decode(errors="replace").splitlines(keepends=True)
            rows = (row for line in lines[start > first :] if (row := _parse_row(names, line)) is not None)
            found = {row.split: row for row in rows}
            if {"train", "val"} <= found.keys():
                break
    return found


def read_curves(folder: Path, max_points: int) -> dict[str, list[Row]]:
    """Return the rows of each split, evenly thinned to fewer than 2 * `max_points` while reading."""
    curves: dict[str, list[Row]] = {}
    strides: dict[str, int] = {}
    counts: dict[str, int] = {}
    for row in read_rows(folder):
        curve, stride = curves.setdefault(row.split, []), strides.setdefault(row.split, 1)
        count = counts[row.split] = counts.get(row.split, -1) + 1
        if count % stride == 0:
            curve.append(row)
            if len(curve) >= 2 * max_points:
                del curve[1::2]
                strides[row.split] = 2 * stride
    return curves


def _metric_names(header: str) -> list[str]:
    return [name for row in csv.reader([header]) for name in row][len(_FIXED_COLUMNS) :]


def _parse_row(names: list[str], line: str) -> Row | None:
    """None if the line is damaged, or was not written to its end."""
    cells = line.rstrip("\r\n").split(",")
    if not line.endswith("\n") or len(cells) != len(_FIXED_COLUMNS) + len(names):
        return None
    step, epoch, samples, seconds, split, *values = cells
    try:
        metrics = {name: float(value) for name, value in zip(names, values, strict=True) if value}
        return Row(int(step), float(epoch), int(samples), float(seconds), split, metrics)
    except ValueError:
        return None


def _truncate_after(path: Path, step: int) -> float:
    """Remove the rows after the snapshot of `step`; return the seconds of the last row that is kept."""
    seconds = 0.0
    path.touch()
    with (
        replacement(path, sync=True) as temporary,
        path.open(newline="", encoding="utf-8", errors="replace") as old,
        temporary.open("w", newline="", encoding="utf-8") as new,
    ):
        header = old.readline()
        new.write(header)
        names = _metric_names(header)
        for line in old:
            row = _parse_row(names, line)
            # An unfinished row belongs to a later step: a snapshot is written after the rows of its step.
            if row is not None and row.step <= step and row.split != "test":
                new.write(line)
                seconds = row.seconds
    return seconds
