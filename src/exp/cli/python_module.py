"""A module that a caller in Python gives to `train`, `sweep` or `load`, as overrides that name it."""

from pathlib import Path
from typing import NamedTuple

from torch import nn

from exp.config.allowlist import HELD_MODULE, add_given_module
from exp.errors import ConfigError, display_path
from exp.models.held_module import Holder, hold, hold_as
from exp.results.run_folder import LAST_CHECKPOINT, read_config


class GivenModule(NamedTuple):
    """What runs find as long as `held` is referred to, and the overrides that name it."""

    held: Holder
    words: list[str]


def hold_module(module: nn.Module, run: Path | None = None) -> GivenModule:
    """Make a copy of the caller's module available to runs.

    Args:
        run: The folder of the run that is resumed or loaded. Its module must have the same source, settings and shapes;
            the parameters come from its checkpoint.

    Raises:
        ConfigError: The module cannot be copied, or is not that of the run.
    """
    try:
        holder = Holder(module)
    except ValueError as error:
        raise ConfigError(
            f"model: {type(module).__name__}: {error}",
            "layers with their sizes, and no member that copy.deepcopy refuses",
        ) from error
    for part in module.modules():
        for kind in type(part).__mro__:
            add_given_module(kind.__module__)
    name = None if run is None else _name_in(run)
    if run is None or name is None:
        holder = hold(holder)
        return GivenModule(holder, ["model=python:module", f"model.name={holder.name}"])
    kind, structure, state = name.split(":")
    is_begun = (run / LAST_CHECKPOINT).exists()
    if holder.structure != structure or not (is_begun or holder.state == state):
        then, now = (structure, holder.structure) if holder.structure != structure else (state, holder.state)
        what = "source, settings or shapes differ" if holder.structure != structure else "its initial parameters differ"
        raise ConfigError(
            f"model: {holder.kind} is not the module {kind} of {display_path(run)}: {what}, their fingerprint was "
            f"{then}, is now {now}",
            "the original module, or a new run",
        )
    return GivenModule(hold_as(name, holder), [])


def _name_in(run: Path) -> str | None:
    """Return the name of the module that the run was given; None if its model is another one."""
    model = read_config(run).get("model", {})
    name = str(model.get("name"))
    return name if model.get("_target_") == HELD_MODULE and name.count(":") == 2 else None
