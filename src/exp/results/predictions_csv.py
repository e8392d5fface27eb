"""predictions.csv: the rows of a fold, with their predictions; of a sweep over folds, those of all folds."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from exp.results import csv_file
from exp.results.atomic import replacement
from exp.results.repeats import find_varied_columns
from exp.results.run_folder import PREDICTIONS
from exp.results.sweep_csv import Row
from exp.training.events import Ending, Event, Predicted


class PredictionsCsvSink:
    """Writes what is predicted of the rows of a fold; nothing for a run that is none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PREDICTIONS

    def handle(self, event: Event) -> None:
        if isinstance(event, Predicted):
            _write(self._path, [*event.columns], csv_file.lines_of(event.columns.values()))

    def close(self, ending: Ending) -> None:
        pass


def join(folder: Path, rows: Sequence[Row]) -> None:
    """Write predictions.csv of the sweep in `folder`, if its jobs are folds.

    It has the lines of the finished jobs, after the choices that vary between them: sorted by choice, repeat and row.

    Args:
        rows: The rows of sweep.csv.
    """
    finished = [row for row in rows if row["status"] == "finished" and (folder / row["job"] / PREDICTIONS).exists()]
    names = [name for name in find_varied_columns(finished) if name != "fold"]
    groups: dict[tuple[str, ...], list[Path]] = {}
    for row in finished:
        choice = tuple(str(row.get(name, "")) for name in names)
        groups.setdefault(choice, []).append(folder / row["job"] / PREDICTIONS)
    if not finished:
        return
    columns = dict.fromkeys(name for paths in groups.values() for name in _read_columns(paths[0]))
    _write(
        folder / PREDICTIONS,
        [*names, *columns],
        ([*choice, *map(line.get, columns)] for choice, paths in groups.items() for line in _read_sorted(paths)),
    )


def _read_columns(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def _read_sorted(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Return the lines of several folds, sorted by repeat and row."""
    lines = [line for path in paths for line in csv_file.read(path)]
    return sorted(lines, key=lambda line: (int(line.get("repeat", 0)), int(line["row"])))


def _write(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with replacement(path) as temporary:
        csv_file.write(temporary, columns, lines)
