"""The only place where a name in a config becomes code, if it is one that a config may name."""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from exp.config.allowlist import (
    GIVEN,
    READ_BY_EXP,
    is_inside,
    origin,
    refusal,
    refuse_arguments,
    refuse_target,
    require_user_package,
)
from exp.errors import ConfigError, DataError, ExpError, as_yaml

# What it must be when found. A dataset is a function; of scikit-learn's, one that computes or that came with it: others
# read files, remove folders, or load pickles.
_KINDS: dict[str, type] = {"model": nn.Module, "loss": nn.Module, "optimizer": Optimizer, "scheduler": LRScheduler}


_SCIKIT_LEARN = re.compile(r"make_\w+|load_(breast_cancer|diabetes|digits|iris|linnerud|wine)")


def instantiate(group: str, node: dict[str, Any], **given: Any) -> Any:
    """What `node`'s `_target_` returns for the node's other keys, but those exp reads itself, and what is `given`.

    ConfigError, naming the key, if the target is not allowed, not there, or refuses.
    """
    function = resolve(group, node)
    _refuse_unknown(group, node, function)
    arguments = {key: value for key, value in node.items() if key not in ("_target_", *READ_BY_EXP[group])}
    try:
        return function(**arguments, **given)
    except ExpError:
        raise
    except Exception as error:
        typed = ", ".join(f"{key}={as_yaml(value)}" for key, value in arguments.items())
        blamed = [key for key in arguments if re.search(rf"\b{key}\b", str(error), re.IGNORECASE)] or list(arguments)
        kind = DataError if group == "dataset" else ConfigError
        raise kind(
            f"{group}: {node['_target_']}({typed}) failed: {error}",
            f"another value of {' or '.join(f'{group}.{key}' for key in blamed)}" if blamed else f"another {group}",
        ) from error


def resolve(group: str, node: dict[str, Any]) -> Callable[..., Any]:
    """The function or class that `node` names. ConfigError if it is not one that a config may name for that group."""
    refuse_target(group, node)
    target: str = node["_target_"]
    module, _, name = target.rpartition(".")
    found = _found(group, module, name)
    if group in _KINDS:
        right = isinstance(found, type) and issubclass(found, _KINDS[group])
    else:
        # As found, not as spelt: the user's own module may have imported it.
        from_scikit_learn = origin(getattr(found, "__module__", "")) == "sklearn"
        right = callable(found) and (not from_scikit_learn or _SCIKIT_LEARN.fullmatch(found.__name__) is not None)
    # As found, not as spelt: an allowed module may have imported anything.
    if not right or not is_inside(f"{getattr(found, '__module__', '')}.", group):
        raise refusal(group, target)
    return cast("Callable[..., Any]", found)


def _found(group: str, module: str, name: str) -> object:
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise require_user_package(group, f"{module}.{name}", dir(importlib.import_module(module))) from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise ConfigError(
            f"{group}._target_={module}.{name} does not exist", f"{group}._target_= and a module that is there"
        ) from error


def _refuse_unknown(group: str, node: dict[str, Any], function: Callable[..., Any]) -> None:
    """What the source did not tell, the object itself does."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    refuse_arguments(group, node, [name for name in parameters if name not in GIVEN[group]])
    for name in GIVEN[group]:
        if name not in parameters:
            raise ConfigError(
                f"{group}: {node['_target_']} must accept the argument {name}",
                f"a {group} with the arguments {', '.join(GIVEN[group])}",
            )
