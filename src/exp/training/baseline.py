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
        guess = int(np.bincount(_class_numbers(data.train)).argmax())
        accuracy = float((_class_numbers(split) == guess).mean())
        return Baseline(f"always {data.classes[guess]}", name, {"accuracy": accuracy}, len(split))
    metrics = compute_metrics(objective, _training_mean(data).expand_as(split.y), split)
    return Baseline("always the mean", name, metrics.values(), len(split))


def _class_numbers(split: Split) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return split.y.reshape(len(split)).long().cpu().numpy()


def _training_mean(data: Splits) -> Tensor:
    """Return the mean targets [1, K] of the training rows as a model that predicts them would."""
    mean = data.train.values.double().mean(0, keepdim=True)
    scale = data.preprocessing.target_scale
    output = mean if scale is None else torch.from_numpy(scale.transform(mean.numpy()))
    return output.to(data.train.y)
