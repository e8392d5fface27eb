"""A sweep's jobs: what was typed for each, what it composes to, and what it is known by."""

import copy
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from exp.config.schema import Config, flatten, validate, without_hydra
from exp.config.untrusted import refuse_other_settings
from exp.sweeps.hydra_files import HydraFileTemplate

# What does not make another run of a job: how its sweep is made, and what is drawn of it.
_NOT_PART_OF_RUN = ("sweep.", "resume", "figures", "watch")


class InvalidJob(Exception):  # noqa: N818
    """What is wrong with one job of several, and the overrides that make it."""

    def __init__(self, overrides: Sequence[str], reason: Exception) -> None:
        super().__init__(f"{reason} (in the job {shlex.join(overrides)})")
        self.overrides = tuple(overrides)
        self.reason = reason


@dataclass(frozen=True)
class Job:
    """One run of a sweep. `words` are the overrides that make it alone; `flat` is its whole config, a key a line."""

    number: int
    overrides: list[str]
    config: Config
    flat: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """The same for the same config, wherever and in whatever sweep it runs."""
        kept = {name: value for name, value in sorted(self.flat.items()) if not is_not_part_of_run(name)}
        return hashlib.sha256(json.dumps(kept, default=str).encode()).hexdigest()


def is_not_part_of_run(name: str) -> bool:
    return name.startswith(_NOT_PART_OF_RUN)


def compose_jobs(words: Sequence[Sequence[str]], first: int, composed: "JobComposer") -> list[Job]:
    """Every job, composed and checked. Raises what is wrong with the first that is not as it must be.

    InvalidJob around it where there are several.
    """
    jobs: list[Job] = []
    for number, line in enumerate(words, first):
        own = [word for word in line if not word.startswith("sweep.")]
        try:
            task = composed.task(own)
            config = validate(task)
        except Exception as error:
            if len(words) == 1:
                raise
            raise InvalidJob(own, error) from error
        content = cast("dict[str, Any]", OmegaConf.to_container(task, resolve=True))
        jobs.append(Job(number, own, config, flatten(content)))
    return jobs


class Base:
    """A whole config that jobs share which choose the same options."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg

    @cached_property
    def task(self) -> DictConfig:
        return without_hydra(self.cfg)

    @cached_property
    def notes(self) -> HydraFileTemplate:
        return HydraFileTemplate(self.cfg)


class JobComposer:
    """Composes jobs as Hydra's loader would, in a fraction of the time where jobs differ by plain values.

    Equal choices of options are composed once; values are then set in a copy, as the loader itself sets them.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._bases: dict[tuple[str, ...], Base] = {}  # by the options
        self._latest: tuple[list[str], Base] = ([], Base(master))  # of words that make none in common with others
        self._parsed: dict[str, Override] = {}
        self._is_group: dict[str, bool] = {}
        self._parser = OverridesParser.create(config_loader=loader)

    def __call__(self, words: Sequence[str]) -> DictConfig:
        """The whole config of the job that `words` make, Hydra's settings included."""
        base, values = self._divided(words)
        cfg = self._set(copy.deepcopy(base.cfg), values, words)
        cfg.hydra.job.override_dirname = self.name(words)
        cfg.hydra.overrides.task = list(words)
        return cfg

    def task(self, words: Sequence[str]) -> DictConfig:
        """What the job's function is given: all but Hydra's settings."""
        base, values = self._divided(words)
        return self._set(copy.deepcopy(base.task), values, words)

    def base(self, words: Sequence[str]) -> Base:
        """What this job shares with others, to be left as it is."""
        return self._divided(words)[0]

    def name(self, words: Sequence[str]) -> str:
        """What Hydra calls `hydra.job.override_dirname`."""
        settings = self._master.hydra.job.config.override_dirname
        overrides = [self._override(word) for word in words]
        return get_overrides_dirname(overrides, settings.exclude_keys, settings.item_sep, settings.kv_sep)

    def _divided(self, words: Sequence[str]) -> tuple[Base, list[Override]]:
        """What the options among `words` compose to, and the values to set in it.

        Where there are other words among them it is what all of them compose to, and no values.
        """
        overrides = [self._override(word) for word in words]
        values = [override for override in overrides if self._is_plain_value(override)]
        options = [override for override in overrides if self._is_option(override)]
        if len(values) + len(options) < len(overrides):
            if self._latest[0] != list(words):
                self._latest = list(words), Base(self._loaded(words))
            return self._latest[1], []
        chosen = tuple(str(override.input_line) for override in options)
        if chosen not in self._bases:
            self._bases[chosen] = Base(self._loaded(chosen))
        return self._bases[chosen], values

    def _set(self, cfg: DictConfig, values: Sequence[Override], words: Sequence[str]) -> DictConfig:
        try:
            for override in values:
                OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            self._loaded(words)  # which says it in Hydra's words
            raise
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


def activate_job_config(cfg: DictConfig, number: int) -> DictConfig:
    """The job's whole config with its number, and where its function looks for it: in HydraConfig."""
    with read_write(cfg), open_dict(cfg):
        cfg.hydra.job.id = cfg.hydra.job.num = number
    HydraConfig.instance().set_config(cfg)
    return cfg
