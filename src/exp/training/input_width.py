"""Tell what is wrong with a model whose first layer takes another number of values than a row has."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from exp.errors import ConfigError, pluralize, quote_words, shorten

# Attributes of layers of torch.nn that hold the number of values that a row of their input has.
_WIDTHS = ("in_features", "num_features", "input_size", "normalized_shape")

# Names of features listed in the error.
_MAX_NAMES = 20


def check_input_width(model: nn.Module, x: Tensor, features: Sequence[str]) -> None:
    """Raise ConfigError if the model fails on x [N, F] because its first layer takes another number of values than F.

    Args:
        features: The names of the F columns of x.
    """
    width = _width_of_failing_first_layer(model, x)
    if width is None:
        return
    names = shorten(quote_words(features[:_MAX_NAMES]), len(features), _MAX_NAMES)
    needed = pluralize(len(features), "value")
    what = f"model: {type(model).__name__} takes {pluralize(width, 'value')}, the rows have {len(features)}: {names}"
    fix = f"a first layer of {needed}; a class of your own receives this number as in_features"
    raise ConfigError(what, fix, key="model")


def _width_of(layer: nn.Module) -> int | None:
    """Return the number of values in a row of the input of a layer of torch.nn; None if it is not known."""
    if not type(layer).__module__.startswith("torch.nn."):
        return None  # an attribute of this name may mean something else
    found: object = next((getattr(layer, name) for name in _WIDTHS if hasattr(layer, name)), None)
    last = cast("tuple[object, ...]", found)[-1] if isinstance(found, tuple) else found
    return last if isinstance(last, int) else None


@torch.no_grad()
def _width_of_failing_first_layer(model: nn.Module, x: Tensor) -> int | None:
    """Return the number of values that the first layer takes, if the model fails in it because x [N, F] has others."""
    entered: list[tuple[nn.Module, tuple[int, ...]]] = []

    def enter(module: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            entered.append((module, tuple(inputs[0].shape)))

    leaves = [module for module in model.modules() if not any(True for _ in module.children())]
    hooks = [module.register_forward_pre_hook(enter) for module in leaves]
    try:
        model(x)
    except Exception:  # what it says is reported by the caller, unless the width is the cause
        if len(entered) != 1 or entered[0][1] != tuple(x.shape):
            return None
        width = _width_of(entered[0][0])
        return width if width != x.shape[1] else None
    finally:
        for hook in hooks:
            hook.remove()
    return None
