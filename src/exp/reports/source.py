"""What a config names, as one writes it in a plain script: nn.BCELoss(), or a class of the user's by its name."""

import inspect
from typing import Any, cast

from exp.config.allowlist import READ_BY_EXP, origin
from exp.config.instantiate import resolve
from exp.config.schema import Config

# As one imports it, and what its names then begin with.
_OF_TORCH = {
    "torch.nn.": "nn.",
    "torch.optim.lr_scheduler.": "torch.optim.lr_scheduler.",
    "torch.optim.": "torch.optim.",
}


def format_call(group: str, node: dict[str, Any], *first: str) -> str:
    """The class and its arguments: `first`, and those of the node that are not what they would be anyway."""
    usual = {key: parameter.default for key, parameter in inspect.signature(resolve(group, node)).parameters.items()}
    given = {key: value for key, value in node.items() if key not in ("_target_", *READ_BY_EXP[group])}
    said = {
        key: value for key, value in given.items() if usual.get(key) != value or (group, key) == ("optimizer", "lr")
    }
    in_order = {**({"lr": said["lr"]} if "lr" in said else {}), **said}
    return f"{_name(node['_target_'])}({', '.join([*first, *([format_arguments(in_order)] if in_order else [])])})"


def format_arguments(values: dict[str, Any]) -> str:
    said = {key: tuple(cast("list[Any]", value)) if isinstance(value, list) else value for key, value in values.items()}
    return ", ".join(f"{key}={value!r}" for key, value in said.items())


def is_user_code(node: dict[str, Any]) -> bool:
    return origin(node.get("_target_", "exp")) == "user"


def user_modules(config: Config) -> dict[str, list[str]]:
    """The user's own modules, and which of their classes a script imports."""
    found: dict[str, list[str]] = {}
    for node in (config.model, config.loss, config.optimizer, config.scheduler):
        if is_user_code(node) and node.get("_target_") is not None:
            module, _, name = str(node["_target_"]).rpartition(".")
            found.setdefault(module, []).append(name)
    return found


def _name(target: str) -> str:
    for package, begins in _OF_TORCH.items():
        if target.startswith(package):
            return begins + target.rpartition(".")[2]
    return target.rpartition(".")[2]
