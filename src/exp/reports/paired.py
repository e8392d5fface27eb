"""Which of two trained models is better on rows that both were evaluated on, and whether that is noise.

Every row has a result under each model: its loss, a hit or a miss, or its error. The paired t-test is over the rows'
differences, so it speaks of these two models and of other rows like these, not of other seeds.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from exp.config.schema import flatten
from exp.data.splits import Split
from exp.errors import DataError
from exp.reports.intervals import row_losses
from exp.results.repeats import UNITS_OF_LOSS
from exp.results.t_tests import LEVEL, ROUNDING, compute_paired_p_value, paired_interval
from exp.results.trained_model import TrainedModel, load_trained
from exp.training.objectives import Regression

# Metrics that are means over rows, or ordered by one, and what is compared for them. Others are compared by the first.
_OF_CLASSES = {"accuracy": "accuracy", "error": "accuracy"}
_OF_NUMBERS = {"rmse": "squared error", "r2": "squared error", "mae": "absolute error"}


@dataclass(frozen=True)
class PairedComparison:
    """The results of two models on the same rows.

    Attributes:
        split: The rows: test, or val for runs without test rows.
        rows: How many.
        measure: What a row has: loss, accuracy (1 or 0), squared error, absolute error, label accuracy.
        values: Its mean under each of the two models.
        better: 0 or 1, the model with the better mean; None if the means are equal, up to rounding.
        interval: The 95 % interval of the second mean minus the first; None if the rows' differences are all equal,
            up to rounding.
        p: Of the paired t-test; None likewise.
    """

    split: str
    rows: int
    measure: str
    values: tuple[float, float]
    better: int | None
    interval: tuple[float, float] | None
    p: float | None

    @property
    def is_noise(self) -> bool:
        """Whether the test does not tell the models apart."""
        return self.p is None or self.p >= 1 - LEVEL


def compare_models(run: Path, other: Path) -> PairedComparison:
    """Compare the final parameters of two runs on the rows of the same split.

    Raises:
        ExpError: A model or its rows cannot be loaded, or the two have no such rows in common.
    """
    models = [load_trained(folder, calibrated=False) for folder in (run, other)]
    name = _common_split(models)
    splits = [model.split(name) for model in models]
    measure, of_rows = _choose(models)
    with torch.no_grad():
        outputs = [model.outputs_of(split) for model, split in zip(models, splits, strict=True)]
        pairs = zip(models, outputs, splits, strict=True)
        first, second = (of_rows(model, output, split.to(torch.device("cpu"))) for model, output, split in pairs)
    return compare_rows(name, measure, first, second)


def compare_rows(split: str, measure: str, first: Sequence[float], second: Sequence[float]) -> PairedComparison:
    """Compare what each row of a split has under two models: `first` and `second`, in the order of the rows."""
    means = statistics.fmean(first), statistics.fmean(second)
    p = compute_paired_p_value(second, first, 0.0)
    # The losses of one model round differently, as those of its replayed and its compiled run do.
    is_rounding = means[0] == means[1] or (p is None and math.isclose(*means, rel_tol=ROUNDING))
    sign = -1 if "accuracy" in measure else 1
    better = None if is_rounding else int(sign * means[1] < sign * means[0])
    return PairedComparison(split, len(first), measure, means, better, paired_interval(first, second, 0.0, LEVEL), p)


def _common_split(models: list[TrainedModel]) -> str:
    """Return test, or else val, if its rows are the same ones in both runs."""
    first, second = (model.experiment.data for model in models)
    paths = {str(model.config.dataset.get("path")) for model in models}
    is_same_table = first.fingerprint == second.fingerprint or (len(paths) == 1 and paths != {"None"})
    shared = [name for name in ("test", "val") if name in first.splits and name in second.splits]
    for name in shared:
        one, two = first.splits[name], second.splits[name]
        has_rows = np.array_equal(np.asarray(one.row_numbers), np.asarray(two.row_numbers))
        # Of one dataset the target is the same, in the form that each loss needs.
        has_target = first.fingerprint == second.fingerprint or (
            first.classes == second.classes and _has_equal_values(one, two)
        )
        if is_same_table and has_rows and has_target:
            if one.weights is None and two.weights is None:
                return name
            raise DataError("the rows have weights", "runs without dataset.weight")
    if shared:
        raise DataError(f"their {shared[0]} rows are not the same ones", "runs with the same dataset, split and seed")
    raise DataError("they have no test and no validation rows in common", "runs with dataset.split")


def _has_equal_values(one: Split, two: Split) -> bool:
    """Return whether the targets are equal; a scaled one up to the rounding of float32."""
    ours, theirs = (split.values.double().reshape(len(split), -1) for split in (one, two))
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6 * float(ours.abs().max()))


def _choose(models: list[TrainedModel]) -> tuple[str, Callable[[TrainedModel, Tensor, Split], list[float]]]:
    """Return what is compared of each row, by the metric that decides in both runs."""
    metrics = {model.config.metric for model in models}
    metric = metrics.pop() if len(metrics) == 1 else ""
    if metric == "loss" and _has_same_loss(models):
        return "loss", _losses
    if isinstance(models[0].objective, Regression):
        measure = _OF_NUMBERS.get(metric, "squared error")
        return measure, _absolute_errors if measure == "absolute error" else _squared_errors
    if models[0].preprocessing.has_labels:
        return "label accuracy", _label_hits
    return _OF_CLASSES.get(metric, "accuracy"), _hits


def _has_same_loss(models: list[TrainedModel]) -> bool:
    one, two = (flatten({"loss": model.config.loss, "dataset": model.config.dataset}) for model in models)
    keys = (key for key in {*one, *two} if key.startswith(("loss.", *UNITS_OF_LOSS)))
    return all(one.get(key) == two.get(key) for key in keys)


def _losses(model: TrainedModel, output: Tensor, split: Split) -> list[float]:
    losses = row_losses(model.objective.criterion.cpu(), output, split.target)
    if losses is None:
        raise DataError("the loss of one run is no mean over its rows", "metric=accuracy, or another metric of rows")
    return losses.tolist()


def _hits(model: TrainedModel, output: Tensor, split: Split) -> list[float]:
    truth: Any = split.y.reshape(-1).long()
    return _to_list((model.objective.prediction(output).reshape(-1) == truth).double())


def _label_hits(model: TrainedModel, output: Tensor, split: Split) -> list[float]:
    return _to_list((model.objective.prediction(output) == split.y.long()).double().mean(1))


def _squared_errors(model: TrainedModel, output: Tensor, split: Split) -> list[float]:
    return _to_list(_errors(model, output, split).square().mean(1))


def _absolute_errors(model: TrainedModel, output: Tensor, split: Split) -> list[float]:
    return _to_list(_errors(model, output, split).abs().mean(1))


def _to_list(values: Tensor) -> list[float]:
    return cast("list[float]", values.tolist())


def _errors(model: TrainedModel, output: Tensor, split: Split) -> Tensor:
    """Return the errors [N, K] in the target's own unit."""
    return (model.objective.prediction(output).cpu() - split.values).double()
