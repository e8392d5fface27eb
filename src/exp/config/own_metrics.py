"""Metrics of the user: `mine.gain` is the function `gain` in mine.py. Checked by its source, without importing it."""

import re
from functools import cache

from exp.config import allowlist
from exp.config.signatures import module_names, parameters, read_assigned_attribute
from exp.config.user_code import refuse_syntax_error
from exp.errors import ConfigError

PATTERN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")

# The attribute of the function that states the direction.
DIRECTION = "higher_is_better"


# What a metric takes: both by position, and the weights by name if it has that parameter.
ARGUMENTS = ("targets", "predictions", "weights")


def is_own(name: str) -> bool:
    """Return whether `name` is a metric of the user."""
    return PATTERN.fullmatch(name) is not None


def refuse_metric(key: str, name: str, needs_direction: bool = False) -> None:
    """Raise ConfigError unless `name`, a value of `key`, is an allowed function that exists as far as its source tells.

    Args:
        needs_direction: Whether `key` compares values of the metric.
    """
    if not is_own(name):
        return
    if allowlist.is_private(name) or not allowlist.is_inside(name):
        raise not_allowed(key, name)
    refuse_syntax_error(key, name)
    if (known := allowlist.other_names(name)) is not None:
        raise no_such_metric(key, name, known)
    accepted = parameters(name)
    if accepted is not None and len(accepted) < 2:
        raise wrong_arguments(key, name)
    if needs_direction:
        is_higher_better.cache_clear()  # the file may have been edited, in a notebook
        is_higher_better(name, key)


@cache  # an edit during a run does not change its direction
def is_higher_better(name: str, key: str = "metric") -> bool:
    """Return what the source of the metric `name` states as its direction. ConfigError if it states none."""
    stated = read_assigned_attribute(name, DIRECTION)
    if isinstance(stated, bool):
        return stated
    module, _, function = name.rpartition(".")
    if module_names(module) is None:
        raise no_such_module(key, name)
    raise ConfigError(
        f"{key}={name}: its source does not state whether a higher value is better",
        f"the line `{function}.{DIRECTION} = True`, or False, below the function in {module}",
        key=key,
    )


def not_allowed(key: str, name: str) -> ConfigError:
    """Return the error for a function that a config may not name."""
    return ConfigError(
        f"{key}={name} is not allowed: a config may name a function of a module in {allowlist.VARIABLE}",
        allowlist.fix_not_allowed(name, "another metric", f"a function in a file of your own that calls {name}"),
        key=key,
    )


def no_such_module(key: str, name: str) -> ConfigError:
    """Return the error for a metric whose module cannot be found or read."""
    module = name.rpartition(".")[0]
    return ConfigError(
        f"{key}={name}: there is no Python file of the module {module}",
        f"{module.replace('.', '/')}.py in the current folder or in --config-dir",
        key=key,
    )


def no_such_metric(key: str, name: str, known: list[str]) -> ConfigError:
    """Return the error for a function that is not among the names `known` of its module."""
    module, _, function = name.rpartition(".")
    near = allowlist.nearest_public(name, known)
    return ConfigError(
        f"{key}={name} does not exist",
        f"{key}={module}.{near}" if near else f"a function named {function} in {module}",
        key=key,
    )


def wrong_arguments(key: str, name: str) -> ConfigError:
    """Return the error for a function with other parameters than `ARGUMENTS`."""
    function = name.rpartition(".")[2]
    return ConfigError(
        f"{key}={name}: a metric has the parameters targets and predictions, and may have weights",
        f"def {function}({', '.join(ARGUMENTS)})",
        key=key,
    )
