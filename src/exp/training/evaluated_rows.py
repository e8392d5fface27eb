"""The rows of a split and what is predicted of them, for a sink of the user's own."""

from dataclasses import dataclass, replace
from typing import Any, cast

from numpy.typing import NDArray

from exp.training.build import Experiment
from exp.training.events import Evaluated
from exp.training.metric_choice import ChosenMetrics
from exp.training.own_metric import OwnMetric


@dataclass(frozen=True)
class EvaluatedRows:
    """N rows of the split `val` or `test` under the parameters of an evaluation.

    Args:
        targets: Class numbers [N], or values in the target's own unit: [N], or [N, K] of several targets.
        predictions: Probabilities [N, K], or values like the targets.
        classes: The names of the K classes; None for values.
        metrics: Those of the evaluation, by name.
    """

    split: str
    step: int
    epoch: float
    targets: NDArray[Any]
    predictions: NDArray[Any]
    classes: tuple[str, ...] | None
    metrics: dict[str, float]


def evaluated_rows(experiment: Experiment, event: Evaluated) -> EvaluatedRows:
    """Predict the split of `event` again, before the parameters change. No parameter or random state changes."""
    split = experiment.data.splits[event.split]
    with experiment.learner.unchanged(split.device):
        outputs = experiment.learner.predict(split.x)
    found: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def keep(targets: NDArray[Any], predictions: NDArray[Any], _: object) -> None:
        found.append((targets.copy(), predictions.copy()))

    # What a metric of the user's own gets.
    chosen = ChosenMetrics(("rows",), own={"rows": cast("OwnMetric", keep)})
    replace(cast("Any", experiment.objective), chosen=chosen).score_all(outputs, split)
    classes = experiment.data.classes
    names = None if classes is None else tuple(map(str, classes))
    (rows,) = found
    return EvaluatedRows(event.split, event.at.step, event.at.epoch, *rows, names, dict(event.values))
