"""The metrics of guessing: always the training rows' most common class, or always their mean."""

import numpy as np
import torch
from torch import Tensor

from exp.data.splits import Split, Splits
from exp.training.events import Baseline
from exp.training.learner import compute_metrics
from exp.training.objectives import Objective


def compute_baseline(objective: Objective, data: Splits) -> Baseline:
    """Return the metrics of guessing on the held-out rows; of classes the accuracy alone."""
    name = data.held_out
    split = data.splits[name]
    if data.classes is not None:
        guess = int(data.class_totals.argmax())
        weights = None if split.weights is None else split.weights.double().cpu().numpy()
        accuracy = float(np.average(_class_numbers(split) == guess, weights=weights))
        return Baseline(f"always {data.classes[guess]}", name, {"accuracy": accuracy}, len(split))
    metrics = compute_metrics(objective, _training_mean(data).expand_as(split.y), split)
    return Baseline("always the mean", name, metrics.values(), len(split))


def _class_numbers(split: Split) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return split.y.reshape(len(split)).long().cpu().numpy()


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
