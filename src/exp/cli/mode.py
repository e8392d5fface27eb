"""Refuse settings that a line ignores: those of a sweep without -m, and the folder of a run with -m."""

import re
from collections.abc import Sequence

from exp.config.overrides import is_sweep, override_key, shell_line
from exp.errors import ConfigError
from exp.sweeps.folds import has_all_folds

_OF_SWEEPS = re.compile(r"hydra\.sweep\.|hydra/sweeper$|hydra\.sweeper\.|hydra/launcher$|hydra\.launcher\.|sweep\.")

# Flags with which a command shows something, and trains nothing.
SHOWING = {"-c", "--cfg", "-i", "--info", "-h", "--help", "--version"}

# Keys without an effect on the numbers. Of jobs that differ in them alone, only one would run.
NOT_VARIED = ("figures", "watch")

# These have answers of their own.
_ANSWERED = ("sweep.resume", "sweep.dry_run", "sweep")


def is_cross_validation(flags: Sequence[str], overrides: Sequence[str]) -> bool:
    """Return whether the line runs a cross-validation, which is a sweep also without -m."""
    return has_all_folds(overrides) and not SHOWING & set(flags)


def check_mode(flags: Sequence[str], overrides: Sequence[str], multirun: bool) -> None:
    """Raise ConfigError, with the line that was meant, for an override that this line would ignore."""
    if SHOWING & set(flags):
        return
    for word in overrides:
        key = override_key(word)
        if multirun and word.startswith("hydra.run.dir="):
            line = shell_line([*flags, *_rename(overrides, "hydra.run.dir", "hydra.sweep.dir")])
            raise ConfigError(f"{word}: the folder of a sweep is hydra.sweep.dir", line)
        if multirun and key in NOT_VARIED and is_sweep(word):
            one = word.partition(",")[0]
            line = shell_line([*flags, *(one if other == word else other for other in overrides)])
            raise ConfigError(f"{word}: {key} changes no number, so jobs with these values would be the same job", line)
        if multirun or not _OF_SWEEPS.match(key) or key in _ANSWERED:
            continue
        if any(map(is_sweep, overrides)):
            line = shell_line([*flags, "-m", *_rename(overrides, "hydra.run.dir", "hydra.sweep.dir")])
            raise ConfigError(f"{word}: {key} is for a sweep (-m)", line)
        if key == "hydra.sweep.dir":
            line = shell_line([*flags, *_rename(overrides, key, "hydra.run.dir")])
            raise ConfigError(f"{word}: the folder of one run is hydra.run.dir", line)
        others = (other for other in overrides if other != word)
        raise ConfigError(f"{word}: {key} is for a sweep (-m)", shell_line([*flags, *others]))


def _rename(overrides: Sequence[str], key: str, new: str) -> list[str]:
    """Return the overrides with the value of `key` given to `new`; without it if they give `new` a value already."""
    has_new = any(override_key(word) == new for word in overrides)
    renamed = [f"{new}={word.partition('=')[2]}" if override_key(word) == key else word for word in overrides]
    return [word for word, old in zip(renamed, overrides, strict=True) if not (has_new and override_key(old) == key)]


def differ_in_fold_only(overrides: Sequence[str], job: Sequence[str]) -> bool:
    """Return whether the jobs of a line differ in nothing but their fold. `job`: the overrides of one of them."""
    added = {*map(override_key, job)} - {*map(override_key, overrides)}
    return added == {"fold"} and not any(map(is_sweep, overrides))
