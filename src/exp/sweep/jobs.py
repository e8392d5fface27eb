"""A sweep's jobs: what was typed for each, what it composes to, and what it is known by."""

import copy
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from exp.config import Config, check, flat, without_hydra
from exp.strangers import refuse_other_settings

# What does not make another run of a job: how its sweep is made, and what is drawn of it.
_NO_PART_OF_IT = ("sweep.", "resume", "figures")

# How a note on an error begins that tells the words of its job.
OF_JOB = "in the job "


@dataclass(frozen=True)
class Job:
    """One run of a sweep. `words` are the overrides that make it alone; `flat` is its whole config, a key a line."""

    number: int
    words: list[str]
    config: Config
    flat: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for the same config, wherever and in whatever sweep it runs."""
        kept = {name: value for name, value in sorted(self.flat.items()) if not is_no_part_of_a_run(name)}
        return hashlib.sha256(json.dumps(kept, default=str).encode()).hexdigest()


def is_no_part_of_a_run(name: str) -> bool:
    return name.startswith(_NO_PART_OF_IT)


def jobs_of(words: Sequence[Sequence[str]], first: int, composed: Callable[[Sequence[str]], DictConfig]) -> list[Job]:
    """Every job, composed and checked. Raises what is wrong with the first that is not as it must be."""
    jobs: list[Job] = []
    for number, line in enumerate(words, first):
        own = [word for word in line if not word.startswith("sweep.")]
        try:
            task = without_hydra(composed(own))
            config = check(task)
        except Exception as error:
            if len(words) > 1:
                error.add_note(OF_JOB + shlex.join(own))
            raise
        content = cast("dict[str, Any]", OmegaConf.to_container(task, resolve=True))
        jobs.append(Job(number, own, config, flat(content)))
    return jobs


class Composer:
    """Composes jobs as Hydra's loader would, in a fraction of the time where jobs differ by plain values.

    Equal choices of options are composed once; values are then set in a copy, as the loader itself sets them.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._parsed: dict[str, Override] = {}
        self._is_group: dict[str, bool] = {}
        self._parser = OverridesParser.create(config_loader=loader)

    def __call__(self, words: Sequence[str]) -> DictConfig:
        """The whole config of the job that `words` make, Hydra's settings included."""
        overrides = [self._override(word) for word in words]
        values = [override for override in overrides if self._is_plain_value(override)]
        options = [override for override in overrides if self._is_option(override)]
        if len(values) + len(options) < len(overrides):
            return self._loaded(words)
        chosen = tuple(str(override.input_line) for override in options)
        if chosen not in self._bases:
            self._bases[chosen] = self._loaded(chosen)
        cfg = copy.deepcopy(self._bases[chosen])
        try:
            for override in values:
                OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return self._loaded(words)  # which says it in Hydra's words
        settings = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            overrides, settings.exclude_keys, settings.item_sep, settings.kv_sep
        )
        cfg.hydra.overrides.task = list(words)
        return cfg

    def _loaded(self, words: Sequence[str]) -> DictConfig:
        cfg = self._loader.load_sweep_config(self._master, list(words))
        refuse_other_settings(cfg, self._master, "--config-dir")
        return cfg

    def _override(self, word: str) -> Override:
        if word not in self._parsed:
            self._parsed[word] = self._parser.parse_override(word)
        return self._parsed[word]

    def _is_option(self, override: Override) -> bool:
        group = override.key_or_group
        if group not in self._is_group:
            own = cast("list[str]", OmegaConf.to_container(self._master.hydra.overrides.hydra))
            self._is_group[group] = bool(self._loader.get_group_options(group, overrides=own))
        return override.type is OverrideType.CHANGE and self._is_group[group]

    def _is_plain_value(self, override: Override) -> bool:
        return (
            override.type is OverrideType.CHANGE
            and override.package is None
            and not override.is_hydra_override()
            and not self._is_option(override)
        )


def at_work(cfg: DictConfig, number: int, folder: Path | None = None) -> DictConfig:
    """The job's whole config with its number and its folder, and where its function looks for it: in HydraConfig."""
    with read_write(cfg), open_dict(cfg):
        cfg.hydra.job.id = cfg.hydra.job.num = number
        if folder is not None:
            cfg.hydra.runtime.output_dir = str(folder.absolute())
    HydraConfig.instance().set_config(cfg)
    return cfg
