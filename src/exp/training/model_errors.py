"""Errors of a model, in a training step or elsewhere."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn

from exp.config.user_code import errors_of
from exp.engine.precision import Precision
from exp.errors import ConfigError
from exp.training.compute_loss import explain_error

STEP = "in a training step"

# An evaluation keeps the outputs of all rows of a split, which may be many for a target of thousands of classes.
_LESS_MEMORY = "fewer rows at once (batching.batch_size, dataset.split), fewer classes, or a smaller model"

_FIXES = {  # by a part of torch's message
    "more than 1 value per channel": "batching.drop_last=true, with a batching.batch_size of at least 2",
    "allocate memory": _LESS_MEMORY,
    "out of memory": _LESS_MEMORY,
    "use_reentrant=True": "checkpoint(..., use_reentrant=False) in the model",
}


@contextmanager
def model_errors(where: str, model: nn.Module, criterion: nn.Module, precision: Precision) -> Generator[None]:
    """Turn errors of torch, and those of the user's code, into a ConfigError that names the model or the line.

    Args:
        where: What the model does: STEP, or any other words.
    """
    name = type(model).__name__
    try:
        with errors_of(
            "a training step failed" if where == STEP else f"model: {name} failed {where}",
            f"correct the code or the arguments of {name}",
        ):
            yield
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        if where == STEP and (of_loss := explain_error(error, model, criterion)) is not None:
            raise of_loss from error
        other = "another model" if precision.dtype is None else "precision=fp32, or another model"
        fix = next((fix for part, fix in _FIXES.items() if part in str(error)), other)
        raise ConfigError(f"model: {name} failed {where}: {error}", fix) from error
