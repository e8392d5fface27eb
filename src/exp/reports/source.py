"""Calls in a plain script of what a config names: nn.BCELoss(), or a user's class by its name."""

import inspect
from collections.abc import Sequence
from typing import Any, cast

from exp.config.allowlist import READ_BY_EXP, origin
from exp.config.instantiate import import_target, make_tensors
from exp.config.schema import Config

# How a script names torch's class for each group.
_TORCH = {
    "model": "nn.{}",
    "loss": "nn.{}",
    "optimizer": "torch.optim.{}",
    "scheduler": "torch.optim.lr_scheduler.{}",
}

# Numbers that are written one by one.
_FEW = 4


class Source(str):
    """An argument that is an expression, which a call has as it is."""

    __repr__ = str.__str__


def format_call(group: str, node: dict[str, Any], *first: str) -> str:
    """Return the call: positional arguments `first`, then those of the node that differ from their defaults."""
    function = import_target(group, node)
    defaults = {key: parameter.default for key, parameter in inspect.signature(function).parameters.items()}
    given = {key: value for key, value in node.items() if key not in ("_target_", *READ_BY_EXP[group])}
    arguments = {
        key: value for key, value in given.items() if defaults.get(key) != value or (group, key) == ("optimizer", "lr")
    }
    in_order = {**({"lr": arguments["lr"]} if "lr" in arguments else {}), **arguments}
    tensors = make_tensors(group, function, in_order)
    written = {key: f"torch.tensor({as_floats(in_order[key])!r})" for key in tensors}
    others = {key: value for key, value in in_order.items() if key not in tensors}
    named = [*([format_arguments(others)] if others else []), *(f"{key}={text}" for key, text in written.items())]
    return f"{_name(group, node['_target_'])}({', '.join([*first, *named])})"


def as_floats(value: Any) -> Any:
    """Return a number, or the numbers of a list, as floats."""
    return [as_floats(item) for item in cast("list[Any]", value)] if isinstance(value, list) else float(value)


def format_arguments(values: dict[str, Any]) -> str:
    """Return keyword arguments as source; lists become tuples."""
    return ", ".join(f"{key}={_format_value(value)}" for key, value in values.items())


def _format_value(value: Any) -> str:
    """Return the value as source: a tuple for a list, and `range(9)` or `(0,) * 9` for many numbers."""
    if not isinstance(value, list | tuple):
        return repr(value)
    values = tuple(cast("Sequence[Any]", value))
    if len(values) > _FEW and values == tuple(range(len(values))):
        return f"range({len(values)})"
    return f"({values[0]!r},) * {len(values)}" if len(values) > _FEW and len(set(values)) == 1 else repr(values)


def is_user_code(node: dict[str, Any]) -> bool:
    """Return whether the class that `node` names is the user's; a node without one, such as scheduler=none, is not."""
    return origin(node.get("_target_") or "exp") == "user"


def user_modules(config: Config) -> dict[str, list[str]]:
    """Return the user's modules, and the classes that a script imports from each."""
    modules: dict[str, list[str]] = {}
    for node in (config.model, config.loss, config.optimizer, config.scheduler):
        if is_user_code(node):
            module, _, name = str(node["_target_"]).rpartition(".")
            modules.setdefault(module, []).append(name)
    return modules


def _name(group: str, target: str) -> str:
    name = target.rpartition(".")[2]
    return _TORCH[group].format(name) if origin(target) == "torch" else name
