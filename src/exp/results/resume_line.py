"""The command line that resumes the sweep or continues the search in a folder. Imports no torch."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exp.config.overrides import override_key, shell_line, text_override
from exp.config.schema import SEARCH_SETTINGS, STUDY_SETTINGS
from exp.results import search_json
from exp.results.run_folder import read_sweep_config_dir, read_sweep_overrides, read_sweep_settings

NO_STORAGE = "a search can only be resumed with hydra.sweeper.storage"

_SEARCHER = "hydra_plugins.exp_plugins.OptunaSweeper"

# Hydra's settings that a search has besides the keys of its jobs. Others could run any code.
_SEARCH_KEYS = tuple(f"hydra.sweeper.{name}" for name in (*SEARCH_SETTINGS, *STUDY_SETTINGS))

# exp's launchers for a cluster. Their settings are those of the line that resumes, except for two that run commands.
_LAUNCHERS = tuple(f"hydra/launcher={name}" for name in ("ray", "submitit_local", "submitit_slurm"))
_LAUNCHER_KEY = re.compile(r"hydra\.launcher\.(?!_|setup$|additional_parameters)[a-z_]+")


def is_search(folder: Path) -> bool:
    """Return whether the sweep in `folder` is a search."""
    return _sweeper(read_sweep_settings(folder)).get("_target_") == _SEARCHER


def has_storage(folder: Path) -> bool:
    """Return whether the search in `folder` has a storage, so that another command can continue its study."""
    return _sweeper(read_sweep_settings(folder)).get("storage") is not None


def read_study(folder: Path) -> tuple[Any, Any]:
    """Return the storage and the name of the study of the search in `folder`; None for each in another sweep."""
    sweeper = _sweeper(read_sweep_settings(folder))
    return sweeper.get("storage"), sweeper.get("study_name")


def has_all_trials(folder: Path) -> bool:
    """Return whether the study of the search in `folder` has as many trials as the search was to make."""
    record, planned = search_json.read(folder), _sweeper(read_sweep_settings(folder)).get("n_trials")
    return record is not None and isinstance(planned, int) and record.trials >= planned


def describe_resume(folder: Path) -> str:
    """Return the command line that runs the jobs of the sweep in `folder` that are left, or why there is none."""
    return NO_STORAGE if is_search(folder) and not has_storage(folder) else resume_sweep_command(folder)


def resume_sweep_command(folder: Path, *overrides: str) -> str:
    """Return the command line that resumes the sweep in `folder` with further overrides.

    A search is not resumed in its folder: the line continues its study, and writes the other trials to a new folder.
    Without a storage, the line repeats the search.

    Raises:
        ConfigError: Hydra's record of the sweep is damaged, or changes Hydra's settings.
    """
    settings, keys = read_sweep_settings(folder), {override_key(word) for word in overrides}
    launcher = [word for word in _read_launcher(settings) if override_key(word) not in keys]
    if not is_search(folder):
        return shell_line(["-m", text_override("sweep.resume", str(folder)), *launcher, *overrides])
    of_hydra = [word for word in _read_typed(settings, "hydra") if override_key(word) in _SEARCH_KEYS]
    saved = ["hydra/sweeper=optuna", *of_hydra, *launcher, *read_sweep_overrides(folder)]
    kept = [word for word in saved if override_key(word) not in keys]
    line = shell_line(["-m", *read_sweep_config_dir(folder), *kept, *overrides])
    began = settings.get("runtime", {}).get("cwd")  # where a path of the storage begins
    is_here = not isinstance(began, str) or Path(began) == Path.cwd()
    return line if is_here else f"cd {shlex.quote(str(began))} && {line}"


def _sweeper(settings: dict[str, Any]) -> dict[str, Any]:
    return settings.get("sweeper") or {}


def _read_typed(settings: dict[str, Any], kind: str) -> Sequence[str]:
    words: list[object] = settings.get("overrides", {}).get(kind) or []
    return [word for word in words if isinstance(word, str)]


def _read_launcher(settings: dict[str, Any]) -> list[str]:
    """Return the overrides that choose the cluster of the sweep; none on this machine."""
    words = _read_typed(settings, "hydra")
    if not any(word in _LAUNCHERS for word in words):
        return []
    return [word for word in words if word in _LAUNCHERS or _LAUNCHER_KEY.fullmatch(override_key(word))]
