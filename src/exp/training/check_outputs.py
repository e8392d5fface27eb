"""Checks of what a model returns, against what the loss takes."""

from torch import Tensor, nn

from exp.config.user_code import place_of_class
from exp.errors import ConfigError, pluralize
from exp.training.objectives import Multiclass, Objective
from exp.training.weights import without_weights


def check_output(objective: Objective, output: Tensor, rows: int) -> None:
    """Raise ConfigError unless the outputs have the shape [rows, K], because torch would broadcast other shapes."""
    if output.shape != (rows, objective.outputs):
        raise ConfigError(
            f"model: its outputs for {pluralize(rows, 'row')} have shape {list(output.shape)}, but the loss needs "
            f"[{rows}, {objective.outputs}]",
            "a model that returns out_features values per row",
        )
    if isinstance(without_weights(objective.criterion), nn.BCELoss):
        low, high = float(output.min()), float(output.max())
        if low < 0 or high > 1:
            raise ConfigError(
                f"loss: BCELoss needs probabilities, but the outputs range from {low:.3g} to {high:.3g}",
                "loss=bce_with_logits, or a model that ends with a sigmoid",
            )


def check_finite_outputs(model: nn.Module, output: Tensor, is_scaled: bool) -> None:
    """Raise ConfigError unless the outputs [N, ...] are finite, because no step can train with others."""
    count = int((~output.isfinite()).flatten(1).any(1).sum()) if output.dim() > 1 else 0
    if count:
        kind = type(model)
        raise ConfigError(
            f"model: {kind.__name__} returns NaN or infinite values for {count:,} of {pluralize(len(output), 'row')} "
            f"before the first step{place_of_class(kind)}",
            f"{'' if is_scaled else 'dataset.scaler=standard, or '}a model whose outputs are finite",
        )


def check_target(objective: Objective, output: Tensor, y: Tensor) -> None:
    """Raise ConfigError unless outputs [N, K] and targets y fit together in values, shape and dtype."""
    if isinstance(objective, Multiclass):
        if int(y.max()) >= output.shape[1] or int(y.min()) < 0:
            raise ConfigError(
                f"loss: class {int(y.max())} has no output: the model has {output.shape[1]} outputs, for classes 0 to "
                f"{output.shape[1] - 1}",
                "a model that returns out_features values per row",
            )
    elif output.shape != y.shape:
        raise ConfigError(
            f"loss: the outputs have shape {list(output.shape)} and the targets {list(y.shape)}, which torch would "
            "broadcast",
            "outputs and targets of the same shape",
        )
    if not output.is_floating_point() or (y.is_floating_point() and y.dtype != output.dtype):
        raise ConfigError(f"model: its outputs are {output.dtype}, but the targets are {y.dtype}", "a model of float32")


def check_log_probabilities(criterion: nn.Module, output: Tensor) -> None:
    """Raise ConfigError if the loss takes log-probabilities, and those of a row do not add up to 1."""
    total = float(output.logsumexp(1).max().exp()) if isinstance(criterion, nn.NLLLoss) else 1.0
    if abs(total - 1.0) > 1e-3:
        raise ConfigError(
            f"loss: NLLLoss needs log-probabilities, but the probabilities of a row add up to {total:.3g}",
            "loss=cross_entropy, or a model that ends with LogSoftmax",
        )
