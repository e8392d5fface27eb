"""Compare a finished run with guessing: always the training rows' most common class, or always their mean."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from exp.data.batches import Position
from exp.data.splits import Splits
from exp.training.check_features import FAR_FIX, describe_far_values
from exp.training.events import Baseline, Noted
from exp.training.metrics import LabelSum, MetricSums, first_window
from exp.training.objectives import Objective
from exp.training.split_metrics import compute_metrics
from exp.training.weights import weighs_classes

# A model has learned from the training rows if it leaves less than this share of the error of guessing.
_LEARNED = 0.9


def compare_with_baseline(
    objective: Objective, data: Splits, final: Mapping[str, MetricSums], at: Position, restores_best: bool = False
) -> Iterator[Baseline | Noted]:
    """Yield the metrics of guessing, and a warning if the `final` metrics of the held-out rows are worse.

    The warning advises to restore the best parameters, unless the run does (`restores_best`).
    """
    baseline = compute_baseline(objective, data, data.held_out)
    yield baseline
    metric = objective.metrics[0]
    ours, guess = final[data.held_out].values()[metric], baseline.metrics[metric]
    if weighs_classes(objective.criterion) or not _is_worse(metric, ours, guess):
        return  # a loss with weights of classes gives up accuracy on purpose
    learned = compute_baseline(objective, data, "train").metrics[metric]
    if far := describe_far_values(data, data.held_out):
        why, fix = far, FAR_FIX
    elif _error(metric, final["train"].values()[metric]) < _LEARNED * _error(metric, learned):
        why = "the training rows are predicted better than that: the model overfits, or the rows differ"
        fix = (
            "a smaller model or more rows"
            if restores_best
            else "early_stopping.restore_best=true, a smaller model, or more rows"
        )
    else:
        why = "the training rows are predicted hardly better than that: the model has not learned"
        is_scaled = data.preprocessing.scaler is not None
        fix = f"another optimizer.lr{'' if is_scaled else ', dataset.scaler=standard'}, or more epochs"
    text = f"worse than guessing: {metric} {ours:.4g} on the {data.held_out} rows, '{baseline.name}' has {guess:.4g}"
    yield Noted(at, f"{text}; {why}; try: {fix}", is_warning=True)


def compute_baseline(objective: Objective, data: Splits, name: str) -> Baseline:
    """Return the metrics of guessing on the split `name`; of classes and labels the accuracies alone."""
    split = data.splits[name]
    if data.classes is not None:
        guess = int(data.class_totals.argmax())
        accuracy = float(np.average(split.class_numbers == guess, weights=split.row_weights))
        return Baseline(f"always {data.classes[guess]}", name, {"accuracy": accuracy}, len(split))
    if data.preprocessing.has_labels:
        guesses = (_training_mean(data) >= 0.5).expand_as(split.y)
        score = first_window(LabelSum.of_segments(guesses.long(), split.y.long(), [len(split)], split.weights))
        return Baseline("always the most common", name, score.values(), len(split))
    metrics = compute_metrics(objective, _training_mean(data).expand_as(split.y), split)
    return Baseline("always the mean", name, metrics.values(), len(split))


def _error(metric: str, value: float) -> float:
    """Return the RMSE, or the share of rows that is not right."""
    return value if metric == "rmse" else 1 - value


def _is_worse(metric: str, value: float, reference: float) -> bool:
    """Return whether `value` is a worse accuracy or RMSE than `reference`, by more than rounding."""
    return value > reference * (1 + 1e-6) if metric == "rmse" else value < reference


def _training_mean(data: Splits) -> Tensor:
    """Return the (weighted) mean targets [1, K] of the training rows as a model that predicts them would."""
    values, weights = data.train.values.double(), data.train.weights
    mean = values.mean(0, keepdim=True)
    if weights is not None:
        of_row = weights.double().cpu().unsqueeze(1)
        mean = (values * of_row).sum(0, keepdim=True) / of_row.sum()
    scale = data.preprocessing.target_scale
    output = mean if scale is None else torch.from_numpy(scale.transform(mean.numpy()))
    return output.to(data.train.y)
