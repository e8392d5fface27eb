"""The folds of a cross-validation as jobs of a sweep, and the metric that the jobs are sorted by."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, open_dict, read_write

from exp.config.overrides import override_key
from exp.sweeps.plugins import is_search


def has_all_folds(overrides: Sequence[str]) -> bool:
    """Return whether the overrides are those of a cross-validation, whose folds are the jobs of a sweep."""
    values = {override_key(word): word.partition("=")[2] for word in overrides}
    return values.get("folds", "null") != "null" and values.get("fold", "null") == "null"


def with_folds(config: Any, overrides: Sequence[str]) -> list[str]:
    """Return the overrides of a sweep, whose jobs vary `fold` too if its config has `folds`; a typed fold is kept."""
    if config.folds is None or not has_all_folds([f"folds={config.folds}", *overrides]):
        return list(overrides)
    others = [word for word in overrides if override_key(word) != "fold"]
    return [*others, f"fold=range(0,{config.folds * config.fold_repeats})"]


def sweep_metric(config: Any, hydra: Any) -> str:
    """Return the metric that the jobs are sorted by. `sweep.metric=auto` is `metric` of the validation rows.

    In a cross-validation it is that of the test rows, each of which is predicted by a model that was not trained on
    it. A search uses the validation rows there too, because it would choose what fits the test rows.

    Args:
        config: The config of the sweep or of one of its jobs.
        hydra: A config with Hydra's settings of the sweep.
    """
    if config.sweep.metric != "auto":
        return str(config.sweep.metric)
    return f"{config.metric}/{'val' if config.folds is None or is_search(hydra) else 'test'}"


def set_sweep_metric(config: DictConfig) -> None:
    """Set `sweep.metric` to what it means, if it is auto."""
    with read_write(config), open_dict(config):
        config.sweep.metric = sweep_metric(config, config)
