"""Checks of the keys that divide the rows: folds, fold_repeats and fold, and the keys of a dataset with them."""

from typing import TYPE_CHECKING

from exp.errors import ConfigError

if TYPE_CHECKING:
    from exp.config.schema import Config


# Keys that say which rows are in which split, and what they give.
_PARTS = {
    "split_column": "the split of each row",
    "val_path": "the rows for validation",
    "test_path": "the rows for testing",
}


def check_fold(config: "Config") -> None:
    """Raise ConfigError if `fold` is none of the folds, or `folds` cannot be combined with the keys of the dataset."""
    if config.folds is not None:
        _check_dataset(config)
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


def _check_dataset(config: "Config") -> None:
    dataset, folds = config.dataset, f"folds={config.folds}"
    for name, rows in _PARTS.items():
        if (given := dataset.get(name)) is not None:
            key = f"dataset.{name}"
            raise ConfigError(
                f"{key}={given}: {folds} chooses the rows of each split, and this key gives {rows}",
                f"{folds} without {key}, or {key} without folds",
                key=key,
                override="",
            )
    order, group = dataset.get("order"), dataset.get("group")
    if order is not None and group is not None:
        raise ConfigError(
            f"dataset.group={group}: {folds} cannot have both dataset.order and dataset.group",
            "dataset.group=null",
            key="dataset.group",
            override="dataset.group=null",
        )
    if order is not None and config.fold_repeats > 1:
        raise ConfigError(
            f"fold_repeats={config.fold_repeats}: folds by dataset.order have no randomness to repeat",
            "fold_repeats=1",
            key="fold_repeats",
            override="fold_repeats=1",
        )


def check_stratify(config: "Config") -> None:
    """Raise ConfigError if the splits cannot be stratified, because another key divides the rows."""
    dataset = config.dataset
    other = next((name for name in ("group", "order") if dataset.get(name) is not None), None)
    if dataset.get("stratify") is True and other is not None:
        raise ConfigError(
            f"dataset.stratify=true cannot be combined with dataset.{other}",
            "dataset.stratify=false",
            key="dataset.stratify",
            override="dataset.stratify=false",
        )
