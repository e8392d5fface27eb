"""The jobs of a sweep: their overrides, their configs, and a key of each config's content."""

import copy
import hashlib
import json
import pickle
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any, cast

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from exp.config.compose import without_hydra
from exp.config.former_names import normalize
from exp.config.schema import Config, choices_of, flatten, has_effect
from exp.config.untrusted import refuse_other_settings
from exp.config.validation import resolve_and_validate
from exp.sweeps.hydra_files import HydraFileTemplate


class InvalidJob(Exception):  # noqa: N818  # carries an error
    """An error in one of several jobs, with the overrides of that job."""

    def __init__(self, overrides: Sequence[str], reason: Exception) -> None:
        super().__init__(f"{reason} (in the job {shlex.join(overrides)})")
        self.overrides = tuple(overrides)
        self.reason = reason


class Planned(SystemExit):
    """Ends a command that only lists the jobs of a sweep; `jobs` has the overrides of each."""

    def __init__(self, jobs: Sequence[Sequence[str]]) -> None:
        super().__init__(0)
        self.jobs = jobs


@dataclass(frozen=True)
class Job:
    """One run of a sweep. `overrides` make the same run on its own; `flat` is its config with dotted keys."""

    number: int
    overrides: list[str]
    config: Config
    flat: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """A hash of the config: equal for equal configs, in any sweep."""
        return hash_config(self.flat)


def hash_config(flat: Mapping[str, Any]) -> str:
    """Return a hash of a config with dotted keys, without those that have no influence on the numbers of a run."""
    kept = {name: value for name, value in sorted(normalize(flat).items()) if has_effect(name)}
    return hashlib.sha256(json.dumps(kept, default=str).encode()).hexdigest()


def compose_jobs(overrides: Sequence[Sequence[str]], first: int, composer: "JobComposer") -> list[Job]:
    """Compose and validate every job. The jobs are numbered from `first`.

    Raises:
        InvalidJob: The first error, if there are several jobs.
        Exception: The error itself, if there is one job.
    """
    jobs: list[Job] = []
    accepted: set[str] = set()
    for number, line in enumerate(overrides, first):
        own = [override for override in line if not override.startswith("sweep.")]
        try:
            config, content = resolve_and_validate(composer.compose_task(own), accepted)
        except Exception as error:
            if len(overrides) == 1:
                raise
            raise InvalidJob(own, error) from error
        jobs.append(Job(number, own, config, flatten(content)))
    return jobs


class SharedConfig:
    """A whole config, with Hydra's settings, that jobs with the same options share. Do not modify it."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg

    @cached_property
    def _pickled_task(self) -> bytes:
        return pickle.dumps(without_hydra(self.cfg))

    @cached_property
    def choices(self) -> dict[str, str]:
        """The option chosen in each group."""
        return choices_of(self.cfg.hydra.runtime.choices)

    def copy_task(self) -> DictConfig:
        """Return a copy of the config that the job's function receives, without Hydra's settings."""
        return pickle.loads(self._pickled_task)  # in a fifth of the time of deepcopy

    @cached_property
    def files(self) -> HydraFileTemplate:
        return HydraFileTemplate(self.cfg)


class JobComposer:
    """Compose jobs as Hydra's loader does, in a fraction of its time.

    Overrides are of three kinds:
        options: `group=option`. Equal options are composed once.
        plain values: `key=value`, where the key is neither a config group nor one of Hydra's own, and has no package.
            They are set in a copy of what the options compose to, as the loader sets them.
        all others, such as `+key=value`, `~key`, `group@package=option` and `hydra.key=value`. A job that has one of
            them is composed by the loader.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parse = cache(OverridesParser.create(config_loader=loader).parse_override)
        self._is_group = cache(self._has_options)
        self._load_options = cache(self._load_shared)
        self._load_job = lru_cache(maxsize=1)(self._load_shared)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the whole config of a job, with Hydra's settings. It is a copy."""
        shared, values = self._split(overrides)
        cfg = self._set_values(copy.deepcopy(shared.cfg), values, overrides)
        cfg.hydra.job.override_dirname = self.override_dirname(overrides)
        cfg.hydra.overrides.task = list(overrides)
        return cfg

    def compose_task(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config that the job's function receives, without Hydra's settings. It is a copy."""
        shared, values = self._split(overrides)
        return self._set_values(shared.copy_task(), values, overrides)

    def shared(self, overrides: Sequence[str]) -> SharedConfig:
        """Return what this job shares with others."""
        return self._split(overrides)[0]

    def override_dirname(self, overrides: Sequence[str]) -> str:
        """Return `hydra.job.override_dirname` of a job."""
        settings = self._master.hydra.job.config.override_dirname
        parsed = [self._parse(override) for override in overrides]
        return get_overrides_dirname(parsed, settings.exclude_keys, settings.item_sep, settings.kv_sep)

    def _split(self, overrides: Sequence[str]) -> tuple[SharedConfig, list[Override]]:
        """Return the config that the job's options compose to, and the plain values to set in it.

        If there are overrides of another kind, the config is that of all overrides, and there are no values to set.
        """
        parsed = [self._parse(override) for override in overrides]
        options = [override for override in parsed if self._is_option(override)]
        values = [override for override in parsed if self._is_plain_value(override)]
        if len(options) + len(values) < len(parsed):
            return self._load_job(tuple(overrides)), []
        return self._load_options(tuple(str(option.input_line) for option in options)), values

    def _set_values(self, cfg: DictConfig, values: Sequence[Override], overrides: Sequence[str]) -> DictConfig:
        try:
            for value in values:
                OmegaConf.update(cfg, value.key_or_group, value.value(), merge=True)
        except OmegaConfBaseException:
            self._load_shared(tuple(overrides))  # raises the same error with Hydra's message
            raise
        return cfg

    def _load_shared(self, overrides: tuple[str, ...]) -> SharedConfig:
        cfg = self._loader.load_sweep_config(self._master, list(overrides))
        refuse_other_settings(cfg, self._master, "--config-dir")
        return SharedConfig(cfg)

    def _has_options(self, group: str) -> bool:
        return bool(self._repository.get_group_options(group))

    @cached_property
    def _repository(self) -> CachingConfigRepository:
        """The config groups: made once, where the loader's `get_group_options` copies all of them for each group."""
        loader = cast("Any", self._loader)
        hydra_overrides = cast("list[str]", OmegaConf.to_container(self._master.hydra.overrides.hydra))
        return loader._parse_overrides_and_create_caching_repo(None, hydra_overrides)[1]

    def _is_option(self, override: Override) -> bool:
        return override.type is OverrideType.CHANGE and self._is_group(override.key_or_group)

    def _is_plain_value(self, override: Override) -> bool:
        return (
            override.type is OverrideType.CHANGE
            and override.package is None
            and not override.is_hydra_override()
            and not self._is_group(override.key_or_group)
        )


def activate_job_config(cfg: DictConfig, number: int) -> DictConfig:
    """Set the job's number in its whole config, make it the one of HydraConfig, and return it.

    Nothing else in `sweeps` sets HydraConfig. `${hydra:...}` interpolations and callbacks read it there.
    """
    with read_write(cfg), open_dict(cfg):
        cfg.hydra.job.id = cfg.hydra.job.num = number
    HydraConfig.instance().set_config(cfg)
    return cfg
