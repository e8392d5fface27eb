"""The keys of Hydra's launchers and sweepers: their help, and what a wrong one below `hydra.` means."""

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from exp.config.nearest_names import nearest
from exp.config.schema import SEARCH_SETTINGS, STUDY_SETTINGS
from exp.errors import ConfigError, as_yaml
from exp.sweeps.yaml_params import needs_search

if TYPE_CHECKING:
    from exp.cli.command_line import CommandLine

# exp's own, by the group.
PLUGINS = {
    "launcher": ("exp", "ray", "submitit_slurm", "submitit_local"),
    "sweeper": ("exp", "optuna"),
}

# What the number of processes is called elsewhere.
_WORKERS = ("n_jobs", "njobs", "jobs", "workers", "n_workers", "num_workers", "max_workers", "processes")

# Hydra's keys that a user sets.
_OF_HYDRA = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra/launcher", "hydra/sweeper")


def keys_of(kind: str, option: str) -> dict[str, Any]:
    """Return the keys of a launcher or a sweeper, with their defaults; empty if it has none, or does not exist."""
    importlib.import_module("hydra_plugins.exp_plugins")
    node: Any = ConfigStore.instance().repo["hydra"].get(kind, {}).get(f"{option}.yaml")
    content: Any = {} if node is None else OmegaConf.to_container(node.node, resolve=False)
    return {str(key): value for key, value in content.items() if not str(key).startswith("_") and key != "params"}


def explain_plugin_key(key: str, typed: str, line: "CommandLine") -> ConfigError | None:
    """Return the error for an unknown key of Hydra's, or for the number of processes; None for any other key."""
    value = typed.partition("=")[2]
    inside, _, name = key.rpartition(".")
    if name in _WORKERS and inside in ("", "sweep", "hydra.launcher", "hydra.sweeper", "hydra.sweep"):
        override = f"sweep.workers={value or 'auto'}"
        what = f"{typed}: unknown key '{key}' (sweep.workers is the number of jobs that run at the same time)"
        return ConfigError(what, override, key=key, override=override)
    kind = inside.removeprefix("hydra.")
    if kind not in PLUGINS:
        return _explain_hydra_key(key, typed) if key.startswith("hydra.") else None
    option = line.text_of(f"hydra/{kind}") or "exp"
    own = list(keys_of(kind, option)) if option != "exp" else []  # exp has those of a search for presets only
    known = f"available: {', '.join(own)}" if own else "it has none"
    what = f"{typed}: hydra/{kind}={option} has no key '{name}' ({known})"
    if (near := nearest(name, own)) is not None:
        override = f"hydra.{kind}.{near}={value}"
        return ConfigError(what, override, key=key, override=override)
    for owner in (one for one in PLUGINS[kind] if one not in (option, "submitit_local")):
        if (near := nearest(name, list(keys_of(kind, owner)))) is not None:
            words = (f"hydra/{kind}={owner}", f"hydra.{kind}.{near}={value}")
            chosen = line.override_of(f"hydra/{kind}")
            return ConfigError(what, " ".join(words), key=key, override=words if chosen is None else None)
    return ConfigError(what, f"python -m exp --help hydra/{kind}", key=key)


def _explain_hydra_key(key: str, typed: str) -> ConfigError:
    what = f"{typed}: unknown key '{key}' (of Hydra's, exp uses {', '.join(_OF_HYDRA)})"
    near = nearest(key, [name for name in _OF_HYDRA if "." in name])
    override = None if near is None else typed.replace(key, near, 1)
    return ConfigError(what, override or "python -m exp --help hydra", key=key, override=override)


def search_setting(key: str) -> ConfigError | None:
    """Return the error for a setting of a search in another sweep; None for any other key."""
    inside, _, name = key.rpartition(".")
    is_setting = inside == "hydra.sweeper" and name in (*SEARCH_SETTINGS, *STUDY_SETTINGS)
    return needs_search(name) if is_setting else None


def find_topic(topic: str) -> tuple[str, str | None] | None:
    """Return the group, and the option if it names one, of a topic such as launcher, hydra/launcher=ray or ray."""
    name, _, option = topic.removeprefix("hydra/").removeprefix("hydra.").partition("=")
    if name in PLUGINS and (not option or option in PLUGINS[name]):
        return name, option or None
    return next(((kind, name) for kind, options in PLUGINS.items() if name in options[1:] and not option), None)


def explain_keys(kind: str, option: str) -> Iterator[tuple[str, str]]:
    """Yield each key with its default, and the comment behind it in the class that declares it."""
    comments = _comments()
    for name, value in keys_of(kind, option).items():
        yield f"hydra.{kind}.{name}={'VALUE' if value in ('???', None) else as_yaml(value)}", comments.get(name, "")


def _comments() -> dict[str, str]:
    text = inspect.getsource(importlib.import_module("hydra_plugins.exp_plugins"))
    return dict(re.findall(r"^    (\w+): .*?  # (.+)$", text, re.MULTILINE))
