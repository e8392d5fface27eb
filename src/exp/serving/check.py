"""Compare an exported folder, in a process that cannot import exp, with `exp predict` on rows of the dataset."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.frame import Frame
from exp.errors import ConfigError, DataError, pluralize
from exp.results.trained_ensemble import TrainedEnsemble
from exp.results.trained_model import TrainedModel
from exp.serving.rows import cells_of, lines_to_check, rows_to_check
from exp.training.objectives import Regression
from exp.training.predictions import Columns, prediction_columns

# The largest difference of two predictions that count as equal.
TOLERANCE = 1e-6

# Rows that are also predicted alone, because a graph could hold only for several.
_ALONE = 3

_PROGRAM = """
import json, sys
sys.modules["exp"] = None  # an import of exp fails
sys.path.insert(0, sys.argv[1])
import predict
rows = json.load(sys.stdin)
files = [predict.read_file(path) for path in sys.argv[3:]]
print(json.dumps([*map(predict.predict, files), predict.predict(rows), *map(predict.predict, rows[:int(sys.argv[2])])]))
"""


@dataclass(frozen=True)
class Comparison:
    """How many rows were compared, None if none are known, and the largest difference of two predictions.

    That of numbers is relative to the larger of their size and the deviation of the target; else it is of
    probabilities.
    """

    rows: int | None
    largest: float
    why_not: str = ""

    def __str__(self) -> str:
        if self.rows is None:
            return f"not compared with exp predict: {self.why_not}"
        what = f"the largest difference is {self.largest:.2g}"
        return f"compared with exp predict on {pluralize(self.rows, 'row')}, in a process without exp: {what}"


def compare(folder: Path, models: TrainedModel | TrainedEnsemble) -> Comparison:
    """Compare the predictions of the files in `folder` with those of the models.

    Raises:
        ConfigError: They differ by more than TOLERANCE, or the files cannot be used.
    """
    try:
        frame = rows_to_check(models.lead)
    except DataError as error:
        return Comparison(None, 0.0, f"{error.problem}; {error.fix}")
    rows = cells_of(frame, [column.name for column in models.lead.preprocessing.columns])
    with tempfile.TemporaryDirectory() as copies:
        lines = lines_to_check(models.lead, Path(copies))
        predicted = predict_without_exp(folder, rows, [] if lines is None else [lines[0]])
    frames = [*([] if lines is None else [lines[1]]), frame, *(frame.iloc[[place]] for place in range(_ALONE))]
    largest = max(largest_difference(models, *pair) for pair in zip(frames, predicted, strict=False))
    return Comparison(len(rows), largest)


def predict_without_exp(
    folder: Path, rows: list[dict[str, Any]], files: Sequence[Path] = ()
) -> list[list[dict[str, Any]]]:
    """Return what `predict.py` predicts for files, all rows, and each of the first ones. ConfigError if it fails."""
    command = [sys.executable, "-c", _PROGRAM, str(folder), str(_ALONE), *map(str, files)]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConfigError(f"{folder / 'predict.py'} fails: {last}", "format=script")
    return json.loads(done.stdout)


def largest_difference(models: TrainedModel | TrainedEnsemble, frame: Frame, predicted: list[dict[str, Any]]) -> float:
    """Return the largest difference between predictions and those of the models. ConfigError for another class."""
    lead = models.lead
    found = models.outputs_of_table(frame, "rows")
    expected = prediction_columns(lead.objective, lead.preprocessing, found.outputs)
    if len(predicted) != len(frame):
        what = f"{pluralize(len(predicted), 'row')} with a prediction, where exp predict has {len(frame):,}"
        raise ConfigError(what, "format=script")
    known = [row for row, is_known in zip(predicted, found.is_complete, strict=True) if is_known]
    others = [row for row, is_known in zip(predicted, found.is_complete, strict=True) if not is_known]
    if any(value is not None for row in others for value in row.values()):
        raise ConfigError("a row that lacks a value has a prediction, and exp predict has none", "format=script")
    if not known:
        return 0.0
    probabilities = _stack(expected, known, "probability")
    if lead.preprocessing.classes is not None or lead.preprocessing.has_labels:
        _check_choices(expected, known, probabilities)
        return _largest(*probabilities, np.ones(1)) if probabilities[0].size else 0.0
    ours, theirs = _stack(expected, known, "prediction")
    scale = lead.objective.scale if isinstance(lead.objective, Regression) else None
    unit = np.abs(ours).max(0) if scale is None or scale.log else np.array(scale.scale)
    return _largest(ours, theirs, np.maximum(np.abs(ours), unit))


def _stack(expected: Columns, known: list[dict[str, Any]], word: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the columns whose name begins with the word, of exp and of `predict.py`, float64 [N, K]."""
    names = [name for name in expected if name.split(" ")[0] == word]
    ours = np.array([expected[name] for name in names], dtype=np.float64).T
    return ours, np.array([[row[name] for name in names] for row in known], dtype=np.float64)


def _largest(ours: NDArray[Any], theirs: NDArray[Any], unit: NDArray[Any]) -> float:
    """Return the largest difference in multiples of a unit; rows that overflow in both do not count."""
    is_finite = np.isfinite(ours) | np.isfinite(theirs)
    with np.errstate(invalid="ignore"):
        differences = np.where(is_finite, np.abs(ours - theirs) / unit, 0.0)
    return float(np.nan_to_num(differences, nan=np.inf).max())


def _check_choices(
    expected: Columns, known: list[dict[str, Any]], probabilities: tuple[NDArray[Any], NDArray[Any]]
) -> None:
    """Raise ConfigError if another class or label is predicted, where probabilities do not differ by rounding only."""
    ours, _ = probabilities
    for name in [name for name in expected if name.split(" ")[0] == "prediction"]:
        for place, row in enumerate(known):
            if str(expected[name][place]) != str(row[name]) and not _is_tie(ours[place] if ours.size else ours):
                what = f"{name} of a row is {row[name]}, and exp predict says {expected[name][place]}"
                raise ConfigError(what, "format=script")


def _is_tie(probabilities: NDArray[Any]) -> bool:
    """Return whether two classes, or a label and its absence, are equally probable up to rounding."""
    if not probabilities.size:
        return False
    largest = np.sort(np.append(probabilities, 1 - probabilities.sum() if probabilities.size == 1 else []))[-2:]
    return bool(largest[1] - largest[0] < TOLERANCE or (np.abs(probabilities - 0.5) < TOLERANCE).any())
