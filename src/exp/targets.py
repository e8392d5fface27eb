"""The only place where a name in a config becomes code, if it is one that a config may name."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

import exp.config
from exp.config import shown
from exp.errors import ConfigError, DataError, ExpError
from exp.nearest import nearest

# What a config may name: a config is data, and a stranger's. Everything else is refused before it is imported.
_ALLOWED = {
    "dataset": ("exp.data.makers", "sklearn.datasets"),
    "model": ("exp.models", "torch.nn"),
    "loss": ("torch.nn",),
    "optimizer": ("torch.optim",),
    "scheduler": ("torch.optim.lr_scheduler",),
}
# And what it must be when found. A dataset is a function; of scikit-learn's, one that computes or that came with it:
# others read files, remove folders, or load pickles.
_KINDS: dict[str, type] = {"model": nn.Module, "loss": nn.Module, "optimizer": Optimizer, "scheduler": LRScheduler}
_SCIKIT_LEARN = re.compile(r"make_\w+|load_(breast_cancer|diabetes|digits|iris|linnerud|wine)")


def make(group: str, node: dict[str, Any], without: tuple[str, ...] = (), **given: Any) -> Any:
    """What `node`'s `_target_` returns for the node's other keys, but those in `without`, and what is `given`.

    ConfigError, naming the key, if the target is not allowed, not there, or refuses.
    """
    target = node.get("_target_")
    function = resolve(group, target)
    arguments = {key: value for key, value in node.items() if key not in ("_target_", *without)}
    _refuse_unknown(group, str(target), function, arguments, given)
    try:
        return function(**arguments, **given)
    except ExpError:
        raise
    except Exception as error:
        typed = ", ".join(f"{key}={shown(value)}" for key, value in arguments.items())
        blamed = [key for key in arguments if re.search(rf"\b{key}\b", str(error), re.IGNORECASE)] or list(arguments)
        kind = DataError if group == "dataset" else ConfigError
        raise kind(
            f"{group}: {target}({typed}) refused: {error}",
            f"another value of {' or '.join(f'{group}.{key}' for key in blamed)}" if blamed else f"another {group}",
        ) from error


def resolve(group: str, target: object) -> Callable[..., Any]:
    """The function or class of that dotted name. ConfigError if it is not one that a config may name for that group."""
    packages = (*_ALLOWED[group], *exp.config.ALLOWED_BY_USER)
    kind = _KINDS[group].__name__ if group in _KINDS else "dataset function"
    root = str(target).partition(".")[0]
    own = ",".join((*exp.config.ALLOWED_BY_USER, root))
    nobodys = "." not in str(target) or root in (*sys.stdlib_module_names, "torch", "sklearn", "exp", "numpy")
    refusal = ConfigError(
        f"{group}._target_={shown(target)} is not allowed: a config may name a {kind} of {', '.join(packages)}",
        f"another {group}"
        if nobodys
        else f"another {group}, or if you trust it {exp.config.ALLOW_VARIABLE}={own} python -m exp ...",
    )
    # Names with an underscore are the packages' insides, and what those imported is not theirs.
    inside = isinstance(target, str) and not re.search(r"(^|\.)_", target) and _inside(target, packages)
    if not inside:
        raise refusal
    module, _, name = str(target).rpartition(".")
    found = _found(group, module, name)
    if group in _KINDS:
        right = isinstance(found, type) and issubclass(found, _KINDS[group])
    else:
        from_scikit_learn = module == "sklearn.datasets" or _inside(module, ("sklearn.datasets",))
        right = callable(found) and (not from_scikit_learn or _SCIKIT_LEARN.fullmatch(name) is not None)
    # As found, not as spelt: an allowed module may have imported anything.
    if not right or not _inside(f"{getattr(found, '__module__', '')}.", packages):
        raise refusal
    return cast("Callable[..., Any]", found)


def _found(group: str, module: str, name: str) -> object:
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        near = nearest(name, dir(importlib.import_module(module)))
        cure = f"{group}._target_={module}.{near}" if near else f"{group}._target_= and a name that {module} has"
        raise ConfigError(f"{group}._target_={module}.{name} does not exist", cure) from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise ConfigError(
            f"{group}._target_={module}.{name} does not exist", f"{group}._target_= and a module that is there"
        ) from error


def _inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)


def _refuse_unknown(
    group: str, target: str, function: Callable[..., Any], arguments: dict[str, Any], given: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    free = [name for name in parameters if name not in given]
    for key in arguments:
        if key not in free:
            near = nearest(key, free)
            cure = f"{group}.{near}={shown(arguments[key])}" if near else f"one of {', '.join(free)}"
            raise ConfigError(f"{group}.{key} is no argument of {target}", cure)
    for name in given:
        if name not in parameters:
            raise ConfigError(
                f"{group}: {target} does not take {name}, which exp gives it",
                f"a {group} that takes {', '.join(given)}",
            )
