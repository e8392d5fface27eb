"""Settings of `hydra.sweeper` that a YAML file gives: the values to sweep over, `params`, and those of a search."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from exp.config.compose import typed_words
from exp.config.overrides import override_key
from exp.config.schema import SEARCH_SETTINGS, flatten
from exp.errors import ConfigError, as_yaml
from exp.results.repeats import REPEATED


def with_params(params: Mapping[str, Any] | None, typed: Sequence[str]) -> list[str]:
    """Return the overrides of `params` and of the command line. A typed key replaces that of the YAML file.

    Raises:
        ConfigError: A key is one of Hydra's settings, which a YAML file may not set.
    """
    content: Any = OmegaConf.to_container(params, resolve=True) if isinstance(params, DictConfig) else params
    keys = {override_key(word) for word in typed}
    found: dict[str, str] = {}
    for key, value in flatten(content or {}).items():
        if override_key(key).startswith("hydra") or "@" in key:
            raise ConfigError(
                f"hydra.sweeper.params: {key} is one of Hydra's settings, which can run any code",
                f"{key}=... on the command line",
                key="hydra.sweeper.params",
            )
        if override_key(key) in found:
            what = f"hydra.sweeper.params: {override_key(key)} is given twice"
            raise ConfigError(what, f"one of {override_key(key)} and {key}", key="hydra.sweeper.params")
        if override_key(key) not in keys:
            values = cast("list[object]", value) if isinstance(value, list) else [value]
            found[override_key(key)] = f"{key}={','.join(map(as_yaml, values))}"
    return [*found.values(), *typed]


def refuse_search_settings(config: DictConfig, loader: ConfigLoader, overrides: Sequence[str]) -> None:
    """Raise ConfigError if a sweep that is no search has the settings of one, and something to search.

    Jobs that differ only in seeds or folds are those of one trial of a search: its YAML file may have the settings.
    """
    given = [name for name in SEARCH_SETTINGS if config.hydra.sweeper.get(name) is not None]
    if not given:
        return
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    if any(word.is_sweep_override() and word.key_or_group not in REPEATED for word in parsed):
        raise needs_search(given[0])
    refuse_typed_search_settings(config)


def refuse_typed_search_settings(config: DictConfig) -> None:
    """Raise ConfigError if the command line of what is no search has settings of one."""
    keys = {override_key(word) for word in typed_words(config.hydra.overrides.hydra)}
    if typed := [name for name in SEARCH_SETTINGS if f"hydra.sweeper.{name}" in keys]:
        raise needs_search(typed[0])


def needs_search(name: str) -> ConfigError:
    """Return the error for a setting of a search in another sweep."""
    key = f"hydra.sweeper.{name}"
    return ConfigError(f"{key} needs a search", "add hydra/sweeper=optuna", key=key)
