"""The objective of several labels, each of which is 0 or 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from exp.data.splits import Split
from exp.training.label_metrics import LabelRows
from exp.training.metric_choice import NO_METRICS, ChosenMetrics
from exp.training.metrics import Column, LabelSum


@dataclass(frozen=True)
class Labels:
    """K labels with one output each, which `probability` maps to the probability that the label is 1."""

    criterion: nn.Module
    outputs: int
    probability: Callable[[Tensor], Tensor]
    chosen: ChosenMetrics = NO_METRICS
    metrics = LabelSum.names

    def target(self, y: Tensor) -> Tensor:
        """Return 0. and 1., float32 [N, K]."""
        return y

    def prediction(self, output: Tensor) -> Tensor:
        """Return labels, int64 [N, K]: 1 where the probability is at least 0.5."""
        return (self.probability(output) >= 0.5).long()

    def scalar_output(self, output: Tensor) -> Tensor:
        """[N]: the probability of the first label."""
        return self.probability(output)[:, 0]

    def probabilities(self, output: Tensor) -> Tensor:
        """[N, K], that each label is 1."""
        return self.probability(output)

    def log_odds(self, output: Tensor) -> Tensor:
        """log(p / (1 - p)) for each label, float64 [N, K]."""
        return output.double() if self.probability is torch.sigmoid else torch.logit(output.double())

    def score(
        self, output: Tensor, target: Tensor, sizes: Sequence[int], split: Split, weights: Tensor | None = None
    ) -> LabelSum[Column]:
        del split
        return LabelSum.of_segments(self.prediction(output), target.long(), sizes, weights)

    def score_all(self, output: Tensor, split: Split) -> dict[str, float]:
        if not self.chosen.names:
            return {}
        return self.chosen.of_labels(label_rows(self, output, split))


def label_rows(objective: Labels, output: Tensor, split: Split) -> LabelRows:
    """Return the true and the predicted labels of a split, and the probabilities."""
    predicted, probabilities = objective.prediction(output), objective.probabilities(output.double())
    truth = split.y.long().cpu().numpy()
    return LabelRows(truth, predicted.cpu().numpy(), probabilities.cpu().numpy(), split.row_weights)
