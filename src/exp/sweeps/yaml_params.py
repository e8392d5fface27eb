"""The values to sweep over that a YAML file gives: `hydra.sweeper.params`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from exp.config.compose import override_key
from exp.config.schema import flatten
from exp.errors import ConfigError, as_yaml


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
