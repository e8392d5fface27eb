"""Objectives: what a loss implies for the width of the model, the target's dtype and shape, predictions and metrics.

Shapes, here and everywhere: N examples, B of them in a batch, F features, K outputs of the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.splits import Split
from exp.data.target_scale import TargetScale
from exp.training.class_metrics import ClassRows
from exp.training.metric_choice import NO_METRICS, ChosenMetrics
from exp.training.metrics import AccuracySum, Column, Score, SquaredErrorSum
from exp.training.number_metrics import NumberRows


class Objective(Protocol):
    """A loss, with the meaning of the model's outputs [N, K].

    target: The y of a split as the criterion takes it; computed once, before training.
    scalar_output: One number per example, to be drawn as a surface.
    score: Metrics of the first sizes[0] examples, the next sizes[1], and so on, all of them from `split`; `weights` [N]
        are their own, without those of their classes.
    chosen: The metrics of whole splits, metrics=[...]; `score_all` computes them for all rows of `split`.
    """

    @property
    def criterion(self) -> nn.Module: ...
    @property
    def outputs(self) -> int: ...
    @property
    def metrics(self) -> tuple[str, ...]: ...
    @property
    def chosen(self) -> ChosenMetrics: ...
    def target(self, y: Tensor) -> Tensor: ...
    def prediction(self, output: Tensor) -> Tensor: ...
    def scalar_output(self, output: Tensor) -> Tensor: ...
    def probabilities(self, output: Tensor) -> Tensor | None: ...
    def log_odds(self, output: Tensor) -> Tensor | None: ...
    def score(
        self, output: Tensor, target: Tensor, sizes: Sequence[int], split: Split, weights: Tensor | None = None
    ) -> Score[Column]: ...
    def score_all(self, output: Tensor, split: Split) -> dict[str, float]: ...


@dataclass(frozen=True)
class Multiclass:
    """K classes with one output each; the largest is the prediction.

    Args:
        threshold: The second of two classes is predicted if its probability is at least this; None: 0.5.
    """

    criterion: nn.Module
    outputs: int
    chosen: ChosenMetrics = NO_METRICS
    threshold: float | None = None
    metrics = AccuracySum.names

    def target(self, y: Tensor) -> Tensor:
        """Return class numbers, int64 [N]."""
        return y

    def prediction(self, output: Tensor) -> Tensor:
        """Return class numbers, int64 [N], of outputs [N, K]."""
        if self.threshold is None:
            return output.argmax(1)
        return (output.softmax(1)[:, 1] >= self.threshold).long()

    def scalar_output(self, output: Tensor) -> Tensor:
        """[N]: for two classes the probability of the second, for more the predicted class number."""
        return output.softmax(1)[:, 1] if self.outputs == 2 else self.prediction(output)

    def probabilities(self, output: Tensor) -> Tensor:
        """[N, K], one for each class."""
        return output.softmax(1)

    def log_odds(self, output: Tensor) -> Tensor:
        """log(p / (1 - p)) for each class, float64 [N, K]; exact also where p rounds to 1."""
        logits = output.double()
        log_p = logits - logits.logsumexp(1, keepdim=True)
        # Only the largest p can be so close to 1 that 1 - p is lost; for it, 1 - p is the sum of all others.
        largest = logits.argmax(1, keepdim=True)
        others = logits.scatter(1, largest, -torch.inf).logsumexp(1, keepdim=True)
        return (log_p - torch.log1p(-log_p.exp())).scatter(1, largest, logits.gather(1, largest) - others)

    def score(
        self, output: Tensor, target: Tensor, sizes: Sequence[int], split: Split, weights: Tensor | None = None
    ) -> AccuracySum[Column]:
        del split
        return AccuracySum.of_segments(self.prediction(output), target, sizes, weights)

    def score_all(self, output: Tensor, split: Split) -> dict[str, float]:
        return _score_classes(self, output, split)


@dataclass(frozen=True)
class Binary:
    """Two classes with one output, which `probability` maps to that of the second class.

    Args:
        is_probability: False if the loss gives the mapped output no such meaning (a regression towards 0 and 1).
        threshold: The second class is predicted if its probability is at least this; None: 0.5.
    """

    criterion: nn.Module
    probability: Callable[[Tensor], Tensor]
    is_probability: bool = True
    chosen: ChosenMetrics = NO_METRICS
    threshold: float | None = None
    outputs = 1
    metrics = AccuracySum.names

    def target(self, y: Tensor) -> Tensor:
        """0. and 1., float32 [N, 1]."""
        return y.float().unsqueeze(1)

    def prediction(self, output: Tensor) -> Tensor:
        """Return class numbers, int64 [N], of outputs [N, 1]."""
        return (self.scalar_output(output) >= (0.5 if self.threshold is None else self.threshold)).long()

    def scalar_output(self, output: Tensor) -> Tensor:
        """[N]: the probability of the second class."""
        return self.probability(output).squeeze(1)

    def probabilities(self, output: Tensor) -> Tensor | None:
        """[N, 2], one for each class; None if the outputs are no probabilities."""
        second = self.scalar_output(output)
        return torch.stack([1 - second, second], dim=1) if self.is_probability else None

    def log_odds(self, output: Tensor) -> Tensor | None:
        """log(p / (1 - p)) for each class, float64 [N, 2]; None if the outputs are no probabilities."""
        second = output.squeeze(1).double()
        if self.probability is not torch.sigmoid:
            second = torch.logit(second)
        return torch.stack([-second, second], dim=1) if self.is_probability else None

    def score(
        self, output: Tensor, target: Tensor, sizes: Sequence[int], split: Split, weights: Tensor | None = None
    ) -> AccuracySum[Column]:
        del split
        return AccuracySum.of_segments(self.prediction(output), target.squeeze(1).long(), sizes, weights)

    def score_all(self, output: Tensor, split: Split) -> dict[str, float]:
        return _score_classes(self, output, split)


@dataclass(frozen=True)
class Regression:
    """K numeric targets; the outputs are the predicted values, standardised if there is a `scale`.

    Metrics and predictions are in the target's own unit.
    """

    criterion: nn.Module
    outputs: int
    scale: TargetScale | None = None
    chosen: ChosenMetrics = NO_METRICS
    metrics = SquaredErrorSum.names

    def target(self, y: Tensor) -> Tensor:
        """Return the values, float32 [N, K]."""
        return y

    def prediction(self, output: Tensor) -> Tensor:
        """Return the values [N, K] in the target's own unit, float64 on the CPU if they are scaled."""
        return output if self.scale is None else self.scale.restore(output)

    def scalar_output(self, output: Tensor) -> Tensor:
        """[N]: the first value in its own unit."""
        return self.prediction(output)[:, 0]

    def probabilities(self, output: Tensor) -> None:
        """None: values have no probabilities."""
        del output

    def log_odds(self, output: Tensor) -> None:
        """None, as `probabilities`."""
        del output

    def score(
        self, output: Tensor, target: Tensor, sizes: Sequence[int], split: Split, weights: Tensor | None = None
    ) -> SquaredErrorSum[Column]:
        scale = self.scale
        if scale is None:
            return SquaredErrorSum.of_segments(output, target, sizes, split.variance, weights=weights)
        if scale.log:
            output, target, units = scale.restore(output), scale.restore(target), None
        else:
            output, target, units = output.cpu().double(), target.cpu(), scale.scale
        return SquaredErrorSum.of_segments(output, target, sizes, split.variance, units, weights)

    def score_all(self, output: Tensor, split: Split) -> dict[str, float]:
        if not self.chosen.names:
            return {}
        predicted = self.prediction(output).cpu().double().numpy()
        return self.chosen.of_numbers(NumberRows(split.values.double().numpy(), predicted, split.row_weights))


def _score_classes(objective: Multiclass | Binary, output: Tensor, split: Split) -> dict[str, float]:
    if not objective.chosen.names:
        return {}
    return objective.chosen.of_classes(class_rows(objective, output, split))


def class_rows(objective: Multiclass | Binary, output: Tensor, split: Split) -> ClassRows:
    """Return the true and the predicted classes of a split. Without probabilities, that of the predicted class is 1."""
    predicted = objective.prediction(output).cpu().numpy()
    probabilities = objective.probabilities(output.double())
    one_hot = np.eye(max(2, objective.outputs))
    known = one_hot[predicted] if probabilities is None else probabilities.cpu().numpy()
    return ClassRows(split.class_numbers, predicted, known, split.row_weights)
