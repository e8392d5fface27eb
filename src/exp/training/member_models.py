"""Use a model of several members where any model is used: in training it has an output for each member."""

from collections.abc import Iterator
from itertools import chain

from torch import Tensor, nn

from exp.errors import ConfigError
from exp.models.members import MemberLoss, MemberModel
from exp.training.weights import without_weights

# Rows per forward pass without training, times members: limits the memory of the hidden layers.
MAX_ROWS = 2**13


def count_members(model: nn.Module) -> int:
    """Return how many members the model has; 1 if it is no MemberModel."""
    return model.members if isinstance(model, MemberModel) else 1


def rows_per_pass(model: nn.Module) -> int:
    """Return the largest number of rows to pass through the model at a time without training."""
    return max(1, MAX_ROWS // count_members(model))


def join_outputs(parts: Iterator[Tensor], rows: int) -> Tensor:
    """Return the outputs [N, K] of several passes, which are for all N `rows`.

    A list of them, with what the passes allocate in between, would take three times as much memory.
    """
    first, second = next(parts), next(parts, None)
    if second is None:
        return first
    outputs, done = first.new_empty(rows, *first.shape[1:]), 0
    for part in chain((first, second), parts):
        outputs[done : done + len(part)] = part
        done += len(part)
    return outputs[:done]


def training_loss(model: nn.Module, criterion: nn.Module) -> nn.Module:
    """Return the loss of the outputs that the model has in training.

    Raises:
        ConfigError: The members have logits where the loss takes log-probabilities.
    """
    if not isinstance(model, MemberModel):
        return criterion
    if isinstance(without_weights(criterion), nn.NLLLoss):
        raise ConfigError(
            f"loss: NLLLoss needs log-probabilities, and the members of {type(model).__name__} have logits",
            "loss=cross_entropy",
        )
    return MemberLoss(criterion)


def average_members(model: nn.Module, outputs: Tensor) -> Tensor:
    """Return outputs [N, K] for the outputs that the model had in training."""
    return model.average(outputs) if isinstance(model, MemberModel) else outputs
