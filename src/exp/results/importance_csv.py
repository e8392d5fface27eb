"""importance.csv: the permutation importance of each column for a trained model, the largest first."""

import csv
from dataclasses import dataclass
from pathlib import Path

from exp.errors import DataError
from exp.results import csv_file
from exp.results.atomic import replacement
from exp.results.run_folder import IMPORTANCE, importance_command

_OWN = ("column", "importance", "low", "high", "metric", "split", "rows", "parameters", "step", "seed")


@dataclass(frozen=True)
class ColumnImportance:
    """How much worse the metric is if a column is permuted.

    Args:
        mean: The mean of the repeats; positive if the metric is worse, also where a higher value is better.
        low, high: The 95 % confidence interval; NaN where the permutations changed nothing.
        of_repeats: The value of each permutation.
    """

    column: str
    mean: float
    low: float
    high: float
    of_repeats: tuple[float, ...]


@dataclass(frozen=True)
class Importances:
    """The importances of `columns`, the largest first, and what they are of.

    Args:
        metric: The metric that they are differences of.
        rows: The number of rows of the split.
        parameters: Which parameters of the model, for people: checkpoint best.
        step: The step after which the model had these parameters.
        seed: The seed of the permutations.
    """

    columns: tuple[ColumnImportance, ...]
    metric: str
    split: str
    rows: int
    parameters: str
    step: int
    seed: int


def write(path: Path, importances: Importances) -> None:
    """Write a line for each column. The columns after those in `_OWN` are the repeats."""
    facts = [getattr(importances, name) for name in _OWN[4:]]
    repeats = [f"repeat {number}" for number in range(1, 1 + len(importances.columns[0].of_repeats))]
    lines = ([one.column, one.mean, one.low, one.high, *facts, *one.of_repeats] for one in importances.columns)
    with replacement(path) as temporary:
        csv_file.write(temporary, [*_OWN, *repeats], lines)


def read(folder: Path) -> Importances | None:
    """Return what importance.csv in `folder` contains; None if there is no such file. DataError if it is damaged."""
    path = folder / IMPORTANCE
    if not path.exists():
        return None
    try:
        lines = csv_file.read(path)
        first = lines[0]
        return Importances(
            tuple(_read_column(line) for line in lines),
            first["metric"],
            first["split"],
            int(first["rows"]),
            first["parameters"],
            int(first["step"]),
            int(first["seed"]),
        )
    except (ValueError, KeyError, IndexError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is damaged: {error}", importance_command(folder)) from error


def _read_column(line: dict[str, str]) -> ColumnImportance:
    repeats = tuple(float(value) for name, value in line.items() if name not in _OWN)
    return ColumnImportance(line["column"], float(line["importance"]), float(line["low"]), float(line["high"]), repeats)
