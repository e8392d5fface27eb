"""Compose configs and parse command lines with Hydra."""

import copy
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn, TypeAlias, cast

from hydra import compose, initialize_config_dir, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import (
    _run_app,  # pyright: ignore[reportPrivateUsage]
    _run_hydra,  # pyright: ignore[reportPrivateUsage]
    create_automatic_config_search_path,
    detect_calling_file_or_module_from_task_function,
    detect_task_name,
    get_args_parser,
)
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from exp.config.overrides import override_key, quote_names
from exp.config.schema import CONF
from exp.errors import ConfigError

_VERSION_BASE = "1.3"
_Folders: TypeAlias = Sequence[str | Path]


def compose_config(overrides: Sequence[str], search: _Folders = (), *, with_hydra: bool = False) -> DictConfig:
    """Compose one run's config; the folders `search` hold more YAML files. `with_hydra` adds Hydra's own settings."""
    with initialize_config_dir(str(CONF), version_base=_VERSION_BASE):
        return compose("config", [*overrides, *_search_path(search)], return_hydra_config=with_hydra)


@contextmanager
def sweep_loader(overrides: Sequence[str], search: _Folders = ()) -> Generator[tuple[ConfigLoader, DictConfig]]:
    """Yield what composes a sweep's jobs: Hydra's loader, and the config that all of them begin with."""
    with initialize_config_dir(str(CONF), version_base=_VERSION_BASE):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        words = [*overrides, *_search_path(search)]
        yield hydra.config_loader, hydra.compose_config("config", words, run_mode=RunMode.MULTIRUN)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """Return the config without Hydra's own settings, as a job's function gets it."""
    task = copy.copy(cfg)
    with open_dict(task):
        del task["hydra"]
    return task


def parse_arguments(arguments: Sequence[str]) -> Namespace:
    """Parse a command line whose flags come first, as Hydra does. ConfigError instead of argparse's usage."""
    parser = _arguments_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(message, "python -m exp --help")

    parser.error = refuse
    return parser.parse_args(list(arguments))


def run_application(job: TaskFunction, arguments: Namespace) -> None:
    """Let Hydra do what the parsed command line says: call `job` for each run, or show a config."""
    version.setbase(_VERSION_BASE)
    flags = [name for name, value in vars(arguments).items() if value and name not in ("overrides", "multirun")]
    if flags or any(override_key(word) == "hydra.mode" for word in arguments.overrides):
        _run_hydra(arguments, _arguments_parser(), job, str(CONF), "config")
        return
    # As _run_hydra does, which would compose the whole config once more to look for hydra.mode in it.
    source = detect_calling_file_or_module_from_task_function(job)
    search_path = create_automatic_config_search_path(*source, str(CONF))
    hydra = Hydra.create_main_hydra2(detect_task_name(*source), search_path)
    try:
        _run_app(not arguments.multirun, arguments.multirun, None, hydra, "config", job, arguments.overrides)
    finally:
        GlobalHydra.instance().clear()


@cache
def flags_with_value() -> dict[str, bool]:
    """Return for every flag of the command line whether a value follows it."""
    actions = _arguments_parser()._actions  # pyright: ignore[reportPrivateUsage]
    return {
        name: action.nargs is None
        for action in actions
        for name in action.option_strings
        if name != "--experimental-rerun"  # it runs a pickle
    }


def typed_words(recorded: Sequence[str]) -> list[str]:
    """Return the overrides in Hydra's record as they were typed: reading one resolves the interpolations in it."""
    return cast("list[str]", OmegaConf.to_container(recorded, resolve=False))


def _arguments_parser() -> ArgumentParser:
    """Return Hydra's parser of command lines."""
    if sys.version_info < (3, 14):
        return get_args_parser()
    # Hydra 1.3.8 adds a help text that is a string only when it is shown, and argparse checks help texts when added.
    check = ArgumentParser._check_help
    ArgumentParser._check_help = lambda *_: None
    try:
        return get_args_parser()
    finally:
        ArgumentParser._check_help = check


def _search_path(folders: _Folders) -> list[str]:
    places = quote_names(f"file://{Path(folder).absolute()}" for folder in folders)
    return [f"hydra.searchpath={places}"] if folders else []
