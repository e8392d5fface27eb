"""Check untrusted YAML files. A file in a --config-dir or a run folder may set exp's keys but not Hydra's.

Hydra's settings name callbacks, log handlers, folders and environment variables: code that runs before exp's checks.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from exp.config.compose import compose_config
from exp.config.schema import CONF, flatten
from exp.errors import ConfigError

# What Hydra records about the command line.
_NOTED = ("runtime.", "overrides.", "job.override_dirname", "job.id", "job.num", "searchpath", "mode")


# What a sweep or a search tries, and how long. exp.sweeps.yaml_params checks the keys of the values.
_ALLOWED = ("sweeper.params", "sweeper.n_trials", "sweeper.sampler", "sweeper.pruner", "sweeper.seed")


def refuse_hydra_settings(words: list[str], typed: list[str], search: list[str]) -> None:
    """Raise ConfigError if `words`, with the YAML files in `search`, change other Hydra settings than `typed` does.

    The composed settings are compared, however they are spelled. Composing runs no code.
    """
    for folder in search:
        _refuse_names_of_ours(Path(folder))
    asked = [word for word in typed if word.lstrip("+~").startswith("hydra")]
    found = compose_config(words, search, with_hydra=True)
    expected = compose_config(asked, with_hydra=True)
    refuse_other_settings(found, expected, search[0] if search else "the run's own record")


def refuse_other_settings(found: DictConfig, expected: DictConfig, where: str) -> None:
    """ConfigError, naming the key, if two whole configs differ in Hydra's settings."""
    ours, theirs = dict(_settings(expected)), dict(_settings(found))
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            raise ConfigError(
                f"hydra.{key} is set by a YAML file in {where}, and Hydra's settings can run any code",
                f"remove it, or set hydra.{key}=... on the command line",
            )


def _settings(cfg: DictConfig) -> Iterator[tuple[str, Any]]:
    content = cast("dict[str, Any]", OmegaConf.to_container(cfg.hydra, resolve=False))
    return ((key, value) for key, value in flatten(content).items() if not key.startswith((*_NOTED, *_ALLOWED)))


def _refuse_names_of_ours(folder: Path) -> None:
    for path in sorted(CONF.rglob("*.yaml")):
        theirs = folder / path.relative_to(CONF)
        if theirs.exists():
            raise ConfigError(
                f"{theirs} would replace exp's own file of that name",
                f"another name: mv {theirs} {theirs.with_stem(f'my_{theirs.stem}')}",
            )
