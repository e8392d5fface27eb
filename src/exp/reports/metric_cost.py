"""What outputs of a model cost by a metric, for all rows of a split or for some of them."""

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exp.config.allowlist import origin
from exp.config.metric_names import as_cost
from exp.data.columns.column import Floats
from exp.data.splits import Split
from exp.reports.intervals import row_losses
from exp.results.trained_model import TrainedModel
from exp.training.metric_choice import choose_metrics
from exp.training.objectives import Objective
from exp.training.split_metrics import score_split
from exp.training.weights import loss_weights

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MetricCost:
    """What outputs for the rows of `split` cost by a metric: lower is better. Computed on the CPU, in float64.

    A loss of the user's own is computed in float32, as in training.
    """

    objective: Objective
    split: Split
    metric: str
    dtype: torch.dtype

    @classmethod
    def of(cls, trained: TrainedModel, name: str, metric: str) -> "MetricCost":
        """Return the cost of outputs for the run's split `name`.

        Raises:
            ConfigError: There is no such split, or the metric is not for the run's target or loss.
        """
        split, loss = trained.split(name), trained.config.loss
        chosen = choose_metrics([metric], trained.preprocessing.target_kind, loss.get("output") != "value", "metric")
        dtype = torch.float32 if origin(loss.get("_target_")) == "user" else torch.float64
        given: Any = trained.objective
        objective: Objective = replace(given, criterion=copy.deepcopy(given.criterion).to(dtype), chosen=chosen)
        y = split.y.cpu()
        on_cpu = Split(
            torch.zeros(len(y), 0),
            y.to(dtype) if y.is_floating_point() else y,
            target_scale=split.target_scale,
            weights=None if split.weights is None else split.weights.cpu().to(dtype),
        )
        return cls(objective, on_cpu, metric, dtype)

    @property
    def weights(self) -> Floats:
        """The weights of the rows [N] in the loss."""
        weights = loss_weights(self.objective.criterion, self.split.target)
        return np.ones(len(self.split)) if weights is None else weights.double().numpy()

    def convert(self, output: Tensor) -> Tensor:
        """Return outputs [N, K] as the methods take them."""
        return output.cpu().to(self.dtype)

    def of_all(self, output: Tensor) -> float:
        """Return the cost of outputs [N, K]; NaN if the rows do not define the metric."""
        return self._compute(output, self.split)

    def of_some(self, output: Tensor, rows: Rows) -> float:
        """Return the cost of the outputs for some rows only."""
        chosen, split = torch.from_numpy(rows), self.split
        weights = None if split.weights is None else split.weights[chosen]
        return self._compute(output[chosen], replace(split, x=split.x[chosen], y=split.y[chosen], weights=weights))

    def losses(self, output: Tensor) -> Floats | None:
        """Return the loss of each row [N]; None if the cost is not their weighted mean."""
        if self.metric != "loss":
            return None
        return row_losses(self.objective.criterion, output, self.split.target)

    def _compute(self, output: Tensor, split: Split) -> float:
        if not len(split) or (split.weights is not None and not split.weights.any()):
            return math.nan
        if self.metric == "loss":
            value = float(self.objective.criterion(output, split.target))
        elif self.metric in self.objective.metrics:
            value = score_split(self.objective, output, split).values().get(self.metric, math.nan)
        else:
            value = self.objective.score_all(output, split).get(self.metric, math.nan)
        return as_cost(self.metric, value)
