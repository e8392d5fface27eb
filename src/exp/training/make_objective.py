"""Which objective a loss makes for a target: what the model's outputs mean to it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from exp.config.target_kind import TargetKind
from exp.data.target_scale import TargetScale
from exp.errors import ConfigError
from exp.training.labels import Labels
from exp.training.metric_choice import choose_metrics
from exp.training.objectives import Binary, Multiclass, Objective, Regression
from exp.training.weights import without_weights

# The loss.output of the criteria that allow only one.
_MEANINGS: dict[type[nn.Module], str] = {
    nn.CrossEntropyLoss: "classes",
    nn.NLLLoss: "classes",
    nn.BCEWithLogitsLoss: "logit",
    nn.BCELoss: "probability",
    nn.MSELoss: "value",
    nn.L1Loss: "value",
    nn.HuberLoss: "value",
    nn.SmoothL1Loss: "value",
}


def make_objective(
    criterion: nn.Module,
    output: str | None,
    target: TargetKind,
    scale: TargetScale | None = None,
    metrics: Sequence[str] = (),
) -> Objective:
    """Return the objective of `criterion` for a target.

    Args:
        output: What the model's output means to the criterion: classes, logit, probability or value (loss.output).
        target: What there is to predict.
        scale: How a numeric target is standardised; None: it is not.
        metrics: The names of metrics of whole splits, in addition to those of every run.

    Raises:
        ConfigError: The loss cannot be computed, or means nothing, for such a target.
    """
    kind = type(without_weights(criterion))
    name, required = kind.__name__, _MEANINGS.get(kind)
    if output is None or (required is not None and output != required):
        raise ConfigError(
            f"loss.output must be {required or 'one of classes, logit, probability, value'} for {name}, got "
            f"{output or 'null'}",
            f"loss.output={required or 'value'}",
        )
    if getattr(criterion, "reduction", "mean") != "mean":
        raise ConfigError(f"loss.reduction must be mean, got {criterion.reduction}", "loss.reduction=mean")
    gives_probabilities, values, classes = output != "value", len(target.names), target.names
    if target.kind == "labels" and output not in ("logit", "probability"):
        raise ConfigError(
            f"loss: {name} is no loss of labels, and this dataset has {values} targets that are 0 or 1",
            f"loss=bce_with_logits{', or dataset.task=regression for a table' if output == 'value' else ''}",
        )
    if target.kind == "numbers" and gives_probabilities:
        raise ConfigError(
            f"loss: {name} needs a classification target, but this dataset's target is numeric", "loss=mse"
        )
    chosen = choose_metrics(metrics, target, gives_probabilities)
    if target.kind == "numbers":
        return Regression(criterion, values, scale, chosen)
    probability = torch.sigmoid if output == "logit" else _identity
    if target.kind == "labels":
        return Labels(criterion, values, probability, chosen)
    if output == "classes":
        return Multiclass(criterion, len(classes), chosen)
    if len(classes) != 2:
        raise ConfigError(
            f"loss: {name} with one output needs a target of 2 classes, but this dataset has {len(classes)}",
            f"loss=cross_entropy{', or dataset.task=regression for a table' if output == 'value' else ''}",
        )
    return Binary(criterion, probability, gives_probabilities, chosen)


def _identity(output: Tensor) -> Tensor:
    return output
