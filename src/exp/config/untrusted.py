"""Check untrusted YAML files. A file in a --config-dir or a run folder may set exp's keys but not Hydra's.

Hydra's settings name callbacks, log handlers, folders and environment variables: code that runs before exp's checks.
"""

import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config.compose import compose_config
from exp.config.schema import CONF, SEARCH_SETTINGS, flatten
from exp.errors import ConfigError

# What Hydra records about the command line.
_NOTED = ("searchpath", "mode", "job.override_dirname", "job.id", "job.num", "overrides.hydra", "overrides.task")


# What a sweep or a search tries, and how long. exp.sweeps.yaml_params checks the keys of the values.
_ALLOWED = ("params", *SEARCH_SETTINGS)


def refuse_hydra_settings(words: list[str], typed: list[str], search: list[str]) -> None:
    """Raise ConfigError if `words`, with the YAML files in `search`, change other Hydra settings than `typed` does.

    The composed settings are compared, however they are spelled. Composing runs no code.
    """
    for folder in search:
        _refuse_names_of_ours(Path(folder))
    asked = [word for word in typed if word.lstrip("+~").startswith("hydra")]
    found = compose_config(words, search, with_hydra=True)
    where = search[0] if search else "the run's own record"
    recorded = found.hydra.overrides
    if len(recorded.hydra) + len(recorded.task) != len(words) + bool(search):  # Hydra appends to what a file gives
        raise _set_by_file("overrides", where)
    expected = compose_config(asked, with_hydra=True) if asked else _compose_defaults()
    refuse_other_settings(found, expected, where)


def refuse_other_settings(found: DictConfig, expected: DictConfig, where: str) -> None:
    """Raise ConfigError, with the key, if two whole configs differ in Hydra's settings.

    They may differ in what a sweep tries, as long as no value is a call.
    """
    ours, theirs = dict(_settings(expected)), dict(_settings(found))
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            raise _set_by_file(key, where)
    for name in _ALLOWED:
        value = _read_sweeper(found, name)
        call = next(_find_calls(value), None)
        if call is not None and value != _read_sweeper(expected, name):
            key = f"hydra.sweeper.{name}"
            what = f"{key}: {call} in a YAML file in {where} is a key of Hydra's, which can run any code"
            raise ConfigError(what, f"remove {call}", key=key)


@cache
def _compose_defaults() -> DictConfig:
    """Return the config of a line without overrides, with Hydra's settings. Do not modify it."""
    return compose_config([], with_hydra=True)


def _settings(cfg: DictConfig) -> Iterator[tuple[str, Any]]:
    content = cast("dict[str, Any]", OmegaConf.to_container(cfg.hydra, resolve=False))
    if isinstance(sweeper := content["sweeper"], dict):  # not an interpolation
        kept = {name: value for name, value in cast("dict[str, Any]", sweeper).items() if name not in _ALLOWED}
        content["sweeper"] = kept
    leaves = flatten(content)
    return ((key, value) for key, value in leaves.items() if not (key in _NOTED or key.startswith("runtime.")))


def _read_sweeper(cfg: DictConfig, name: str) -> Any:
    """Return a setting of the sweeper with its interpolations resolved, because Hydra resolves it too."""
    try:
        value: Any = cfg.hydra.sweeper.get(name)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        what = f"hydra.sweeper.{name}: {str(error).splitlines()[0]}"
        raise ConfigError(what, "the value itself, without ${...}", key=f"hydra.sweeper.{name}") from error


def _find_calls(value: Any) -> Iterator[str]:
    """Yield the keys, such as _target_, by which Hydra calls what a setting holds."""
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        yield from (str(key) for key in items if str(key).startswith("_"))
        value = list(items.values())
    if isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _find_calls(one)


def _set_by_file(key: str, where: str) -> ConfigError:
    return ConfigError(
        f"hydra.{key} is set by a YAML file in {where}, and Hydra's settings can run any code",
        f"remove it, or set hydra.{key}=... on the command line",
    )


def _refuse_names_of_ours(folder: Path) -> None:
    for path in sorted(CONF.rglob("*.yaml")):
        theirs = folder / path.relative_to(CONF)
        if theirs.exists():
            raise ConfigError(
                f"{theirs} would replace exp's own file of that name",
                f"another name: {shlex.join(['mv', str(theirs), str(theirs.with_stem(f'my_{theirs.stem}'))])}",
            )
