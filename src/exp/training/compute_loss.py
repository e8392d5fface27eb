"""The loss of outputs, if it is one that can be trained with."""

from typing import Any

import torch
from torch import Tensor, nn

from exp.config.user_code import errors_of, place_of_class
from exp.errors import ConfigError
from exp.training.weights import without_weights


def compute_loss(criterion: nn.Module, output: Tensor, target: Tensor) -> Tensor:
    """Return the loss. ConfigError, with the line, if it is the user's own and fails, or returns something else."""
    kind = type(without_weights(criterion))
    with errors_of(f"loss: {kind.__name__} failed", "another loss"):
        loss: Any = criterion(output, target)
    needs_gradients = torch.is_grad_enabled() and output.requires_grad
    if not isinstance(loss, Tensor):
        returned = "None" if loss is None else f"a {type(loss).__name__}"
    elif loss.numel() != 1:
        returned = f"a tensor of shape {list(loss.shape)}"
    elif needs_gradients and not loss.requires_grad:
        returned = "a tensor that does not depend on the outputs"
    else:
        return loss
    raise ConfigError(
        f"loss: {kind.__name__} returns {returned}, and a tensor of one element that depends on the outputs is needed"
        f"{place_of_class(kind)}",
        "the mean over the rows, without detach(), item() or numpy()",
        key="loss",
    )


def explain_error(error: Exception, model: nn.Module, criterion: nn.Module) -> ConfigError | None:
    """Return what torch's error in a training step says of the model or the loss; None if it is another one."""
    kind, loss = type(model), type(without_weights(criterion))
    if "does not require grad" in str(error):
        return ConfigError(
            f"the loss does not depend on the parameters: {kind.__name__} or {loss.__name__} returns what is detached "
            f"from them{place_of_class(kind)}{place_of_class(loss)}",
            "outputs and a loss without detach(), item(), numpy() or torch.no_grad()",
        )
    if isinstance(without_weights(criterion), nn.BCELoss) and "between 0 and 1" in str(error):
        return ConfigError(
            f"loss: {loss.__name__} needs probabilities, but outputs of {kind.__name__} in a training step are not "
            f"between 0 and 1{place_of_class(kind)}",
            "loss=bce_with_logits, or a model that ends with a sigmoid",
        )
    return None
