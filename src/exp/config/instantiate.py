"""Import and call the targets of a config. Only here does a name in a config become code."""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from exp.config.allowlist import (
    GIVEN,
    GIVEN_IF_ACCEPTED,
    READ_BY_EXP,
    given,
    is_inside,
    no_such_target,
    not_allowed,
    origin,
    refuse_arguments,
    refuse_name,
)
from exp.config.own_metrics import ARGUMENTS, no_such_metric, no_such_module, refuse_metric, wrong_arguments
from exp.config.own_metrics import not_allowed as metric_not_allowed
from exp.config.user_code import describe_error, place_of
from exp.errors import ConfigError, DataError, ExpError, as_yaml

# The base class of the targets in a group. The target of a dataset is a function.
_KINDS: dict[str, type] = {"model": nn.Module, "loss": nn.Module, "optimizer": Optimizer, "scheduler": LRScheduler}


# The functions of scikit-learn that generate or load bundled data. Others read files, remove folders or load pickles.
_SCIKIT_LEARN = re.compile(r"make_\w+|load_(breast_cancer|diabetes|digits|iris|linnerud|wine)")


# How exp's models refuse a value that only other models have.
_ONE_OF = re.compile(r"(?P<key>\w+) must be one of (?P<first>\w+)")


def instantiate(group: str, node: dict[str, Any], **passed: Any) -> Any:
    """Call the target of `node` with the node's arguments and those of `passed`, and return the result.

    Raises:
        ConfigError, DataError: The target is not allowed, does not exist, or raises an error. The fix has the key.
    """
    function = import_target(group, node)
    _refuse_unknown_arguments(group, node, function)
    arguments = {key: value for key, value in node.items() if key not in ("_target_", *READ_BY_EXP[group])}
    try:
        return function(**{**arguments, **make_tensors(group, function, arguments)}, **passed)
    except ExpError:
        raise
    except Exception as error:
        typed = ", ".join(f"{key}={as_yaml(value)}" for key, value in arguments.items())
        blamed = [key for key in arguments if re.search(rf"\b{key}\b", str(error), re.IGNORECASE)] or list(arguments)
        kind = DataError if group == "dataset" else ConfigError
        option = _ONE_OF.match(str(error))
        if option is not None and option["key"] in arguments:
            key, override = f"{group}.{option['key']}", f"{group}.{option['key']}={option['first']}"
            raise kind(f"{group}.{error}", override, key=key, override=override) from error
        if (notes := getattr(error, "__notes__", None)) is not None:  # of exp's models: the option that fits
            fix = notes[0]
        elif len(blamed) == 1 and isinstance(arguments[blamed[0]], bool):
            fix = f"{group}.{blamed[0]}={as_yaml(not arguments[blamed[0]])}"
        else:
            fix = (
                f"another value of {' or '.join(f'{group}.{key}' for key in blamed)}" if blamed else f"another {group}"
            )
        raise kind(f"{group}: {node['_target_']}({typed}) failed: {describe_error(error)}", fix) from error


def select_accepted(group: str, function: Callable[..., Any], passed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `passed` without those of GIVEN_IF_ACCEPTED that the signature does not name."""
    optional, accepted = GIVEN_IF_ACCEPTED.get(group, ()), parameters_of(function)
    return {name: value for name, value in passed.items() if name not in optional or name in accepted}


def make_tensors(group: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return as float32 tensors the numbers and lists of numbers for which a loss takes a tensor, such as `weight`."""
    if group != "loss":
        return {}
    annotations = {key: str(parameter.annotation) for key, parameter in parameters_of(function).items()}
    return {
        key: torch.tensor(value, dtype=torch.float32)
        for key, value in arguments.items()
        if isinstance(value, int | float | list) and re.search(r"\bTensor\b", annotations.get(key, ""))
    }


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters by name."""
    return _read_parameters(function) if isinstance(function, type | FunctionType) else _parameters(function)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


_read_parameters = lru_cache(_parameters)  # each job of a sweep builds the same


def import_target(group: str, node: dict[str, Any]) -> Callable[..., Any]:
    """Import the function or class that `node` names. ConfigError if it is not allowed for that group."""
    target: str = node["_target_"]
    refuse_name(group, target)  # its arguments are checked against the imported object
    module = _import_module(f"{group}._target_", target)
    if module is None:
        raise ConfigError(
            f"{group}._target_={target} does not exist", f"{group}._target_= and a class of an installed module"
        )
    name = target.rpartition(".")[2]
    if not hasattr(module, name):
        raise no_such_target(group, target, dir(module))
    imported: Any = getattr(module, name)
    if group in _KINDS:
        right = isinstance(imported, type) and issubclass(imported, _KINDS[group])
    else:
        # Where it is defined, not how it is named: a user's module may have imported it.
        from_scikit_learn = origin(getattr(imported, "__module__", "")) == "sklearn"
        right = callable(imported) and (not from_scikit_learn or _SCIKIT_LEARN.fullmatch(imported.__name__) is not None)
    # Where it is defined, not how it is named: an allowed module may have imported anything.
    if not right or not is_inside(f"{getattr(imported, '__module__', '')}.", group):
        raise not_allowed(group, target)
    return cast("Callable[..., Any]", imported)


def import_metric(name: str) -> Callable[..., Any]:
    """Import the function of the user's own metric `name`. ConfigError if it is not allowed or not a metric."""
    refuse_metric("metrics", name)
    module = _import_module("metrics", name)
    if module is None:
        raise no_such_module("metrics", name)
    if not hasattr(module, name.rpartition(".")[2]):
        raise no_such_metric("metrics", name, dir(module))
    imported: Any = getattr(module, name.rpartition(".")[2])
    # Where it is defined, not how it is named: an allowed module may have imported anything.
    if not callable(imported) or not is_inside(f"{getattr(imported, '__module__', '')}."):
        raise metric_not_allowed("metrics", name)
    arguments = inspect.signature(imported)
    try:
        arguments.bind(*ARGUMENTS[:2], **{key: key for key in ARGUMENTS[2:] if key in arguments.parameters})
    except TypeError as error:
        raise wrong_arguments("metrics", name) from error
    return imported


def _import_module(key: str, target: str) -> ModuleType | None:
    """Import the module of `target`, a value of `key`; return None if it does not exist.

    Raises:
        ConfigError: The module is the user's and raises an error; the message names the file and the line.
    """
    module = target.rpartition(".")[0]
    try:
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            return None
        if not (place := place_of(error)):
            raise
        what = f"{key}={target}: importing {module} failed: {type(error).__name__}: {error}{place}"
        raise ConfigError(what, f"correct the source of {module}", key=key) from error


def _refuse_unknown_arguments(group: str, node: dict[str, Any], function: Callable[..., Any]) -> None:
    """Check the arguments against the imported object, because its source may be incomplete."""
    parameters = parameters_of(function)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    refuse_arguments(group, node, [name for name in parameters if name not in given(group)])
    for name in GIVEN[group]:
        if name not in parameters:
            raise ConfigError(
                f"{group}: {node['_target_']} must accept the argument {name}",
                f"a {group} with the arguments {', '.join(GIVEN[group])}",
            )
