"""Refuse settings that a line ignores: those of a sweep without -m, and the folder of a run with -m."""

import re
from collections.abc import Sequence

from exp.config.compose import override_key
from exp.config.overrides import shell_line
from exp.errors import ConfigError

_OF_SWEEPS = re.compile(r"hydra\.sweep\.|hydra/sweeper$|hydra\.sweeper\.|hydra/launcher$|hydra\.launcher\.|sweep\.")

# Flags that only show something.
_SHOWING = {"-c", "--cfg", "-i", "--info", "-h", "--help", "--version"}

# These have answers of their own.
_ANSWERED = ("sweep.resume", "sweep.dry_run", "sweep")


def is_cross_validation(flags: Sequence[str], overrides: Sequence[str]) -> bool:
    """Whether the line asks for all folds, which are the jobs of a sweep."""
    values = {override_key(word): word.partition("=")[2] for word in overrides}
    has_all_folds = values.get("folds", "null") != "null" and values.get("fold", "null") == "null"
    return has_all_folds and not _SHOWING & set(flags)


def check_mode(flags: Sequence[str], overrides: Sequence[str], multirun: bool) -> None:
    """ConfigError, with the line that was meant, for an override that this line would ignore."""
    if _SHOWING & set(flags):
        return
    for place, word in enumerate(overrides):
        key, _, value = word.partition("=")
        rest = [*overrides[:place], *overrides[place + 1 :]]
        if multirun and key == "hydra.run.dir":
            what = f"{word}: the folder of a sweep is hydra.sweep.dir"
            raise ConfigError(
                what, shell_line([*flags, *overrides[:place], f"hydra.sweep.dir={value}", *overrides[place + 1 :]])
            )
        if not multirun and key == "hydra.sweep.dir":
            words = [*overrides[:place], f"hydra.run.dir={value}", *overrides[place + 1 :]]
            raise ConfigError(f"{word}: the folder of one run is hydra.run.dir", shell_line([*flags, *words]))
        if not multirun and _OF_SWEEPS.match(key) and key not in _ANSWERED:
            swept = any(_has_values(one) for one in rest)
            fix = shell_line([*flags, "-m", *overrides] if swept else [*flags, *rest])
            raise ConfigError(f"{word}: {override_key(word)} is for a sweep (-m)", fix)


def _has_values(word: str) -> bool:
    """Whether a word has several values, or a range of them."""
    value = word.partition("=")[2]
    return (
        re.match(r"(range|choice|interval|glob)\(", value) is not None
        or re.search(r",(?![^\[(]*[\])])", value) is not None
    )
