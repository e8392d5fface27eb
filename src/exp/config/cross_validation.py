"""Checks of the keys of a cross-validation: folds, fold_repeats and fold."""

from typing import TYPE_CHECKING

from exp.errors import ConfigError

if TYPE_CHECKING:
    from exp.config.schema import Config


def check_fold(config: "Config") -> None:
    """Raise ConfigError if `fold` is none of the folds."""
    if config.folds is None and config.fold_repeats > 1:
        raise ConfigError(
            f"fold_repeats={config.fold_repeats} needs the number of folds",
            f"folds=5 fold_repeats={config.fold_repeats}",
            key="fold_repeats",
        )
    if config.fold is None:
        return
    if config.folds is None:
        raise ConfigError(f"fold={config.fold} needs the number of folds", f"folds=5 fold={config.fold}", key="fold")
    last = config.folds * config.fold_repeats - 1
    if config.fold > last:
        repeats = f" fold_repeats={config.fold_repeats}" if config.fold_repeats > 1 else ""
        raise ConfigError(
            f"fold must be an integer from 0 to {last} with folds={config.folds}{repeats}, got {config.fold}",
            f"fold={last}",
            key="fold",
            override=f"fold={last}",
        )


def refuse_all_folds(config: "Config") -> None:
    """Raise ConfigError if the config is that of a cross-validation, which is a sweep whose jobs are its folds."""
    if config.folds is not None and config.fold is None:
        raise ConfigError(
            f"folds={config.folds}: a cross-validation is a sweep, and a run is one fold of it",
            f"folds={config.folds} on the command line, or fold=0 for the first of the folds",
            key="folds",
        )
