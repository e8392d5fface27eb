"""Predictions as named columns."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exp.data.columns.column import Floats
from exp.data.preprocessing import Preprocessing
from exp.training.build import Experiment
from exp.training.objectives import Objective
from exp.training.rows import fold_of

# Float64 tells whole numbers apart below it.
_MAX_WHOLE = 2.0**53

Columns: TypeAlias = dict[str, NDArray[Any]]


def prediction_columns(objective: Objective, preprocessing: Preprocessing, outputs: Tensor) -> Columns:
    """Return a column [N] for each name: `prediction`, and for classes `probability CLASS`.

    Several targets have the columns `prediction TARGET`, and labels also `probability LABEL`.

    Args:
        outputs: The outputs of the model [N, K], on the CPU.
    """
    predicted, classes = objective.prediction(outputs).numpy(), preprocessing.classes
    if classes is None:
        columns = _number_columns("prediction", predicted, preprocessing.target_names)
        probabilities = objective.probabilities(outputs)
        if probabilities is not None:
            columns |= _number_columns("probability", probabilities.numpy(), preprocessing.target_names)
        return columns
    columns: Columns = {"prediction": np.array(classes)[predicted]}
    probabilities = objective.probabilities(outputs)
    if probabilities is not None:
        columns |= {
            f"probability {name}": column for name, column in zip(classes, probabilities.numpy().T, strict=True)
        }
    return columns


def predict_fold(experiment: Experiment) -> Columns:
    """Return a column [N] for each name: what is known of the rows of a fold, and what is predicted of them.

    These are `row`, the position in the dataset counted from 1, the number of the `fold`, and of the `repeat` if there
    are several, `target`, and the columns of `prediction_columns`.
    """
    data, test, fold = experiment.data, experiment.data.test, fold_of(experiment.config)
    assert fold is not None
    columns: Columns = {"row": test.row_numbers, "fold": np.full(len(test), fold.number)}
    if fold.repeats > 1:
        columns["repeat"] = np.full(len(test), fold.repeat)
    if data.classes is None:
        given = test.values.numpy() if test.given is None else _as_written(test.given)
        columns |= _number_columns("target", given, data.preprocessing.target_names)
    else:
        columns["target"] = np.array(data.classes)[test.class_numbers]
    outputs = experiment.learner.predict(test.x).cpu()
    return columns | prediction_columns(experiment.objective, data.preprocessing, outputs)


def _as_written(values: Floats) -> NDArray[Any]:
    """Return numbers as int64 if all are whole, so that 25 is not written as 25.0."""
    is_whole = bool((np.rint(values) == values).all() and (np.abs(values) < _MAX_WHOLE).all())
    return values.astype(np.int64) if is_whole else values


def _number_columns(name: str, values: NDArray[Any], targets: Sequence[str]) -> Columns:
    """Return the columns of `values` [N, K] by name; those of several targets have their names."""
    names = [name] if values.shape[1] == 1 else [f"{name} {target}" for target in targets]
    return dict(zip(names, values.T, strict=True))
