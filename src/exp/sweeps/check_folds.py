"""Check that the rows of a cross-validation can be divided into its folds, before the first job begins."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exp.config.overrides import text_override
from exp.config.schema import Config
from exp.errors import ConfigError, DataError
from exp.sweeps.executors._base import Executor
from exp.sweeps.jobs import Job
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
    from exp.data.dataset import Dataset
    from exp.data.folds import Rows
    from exp.training.events import PruningCallback
    from exp.training.reuse import JobCache


@dataclass(frozen=True)
class CheckFolds:
    """Loads the rows of `config` and divides them into the `folds`. What is wrong is the outcome's refusal."""

    config: Config
    folds: tuple[int, ...]

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Return the first error of the folds. With any other exception, each job of a sweep fails by itself."""
        del should_prune
        from exp.data.assign_rows import assign_fold
        from exp.data.folds import Fold
        from exp.data.seeding import preserved_streams
        from exp.training.build import load_dataset, split_seed, stratify_of
        from exp.training.choices import resolve_by_target
        from exp.training.metric_choice import check_metrics

        config = self.config
        seed, split = split_seed(config), config.dataset.get("split")
        all_folds = [Fold(number, int(config.folds or 0), config.fold_repeats) for number in self.folds]
        with preserved_streams():
            try:
                dataset = cache.reuse_dataset(config.dataset, lambda: load_dataset(config))
                loss = resolve_by_target(config, dataset.target_kind).loss
                check_metrics(config.metrics, config.metric, dataset.target_kind, loss.get("output") != "value")
                val = [assign_fold(dataset, fold, split, seed, stratify_of(config))[1] for fold in all_folds]
                if config.metric != "loss" and (undefined := _find_undefined(config.metric, dataset, val)) is not None:
                    val = [assign_fold(dataset, fold, split, seed, True)[1] for fold in all_folds]
                    is_solved = _find_undefined(config.metric, dataset, val) is None
                    raise _undefined(config.metric, self.folds[undefined], is_solved)
            except (ConfigError, DataError) as error:
                return Outcome(refused=error)
        return Outcome()


def _find_undefined(metric: str, dataset: "Dataset", parts: "Sequence[Rows]") -> int | None:
    """Return the number of the first of `parts` whose classes do not define `metric`; None if all define it."""
    import numpy as np

    from exp.config.own_metrics import is_own
    from exp.training.class_metrics import ClassRows
    from exp.training.metric_choice import choose_metrics

    if dataset.classes is None or is_own(metric):
        return None
    chosen, perfect = choose_metrics([metric], dataset.target_kind, True), np.eye(len(dataset.classes))
    for number, rows in enumerate(parts):
        truth = dataset.y[rows].astype(np.int64)
        if len(rows) and chosen.names and not chosen.of_classes(ClassRows(truth, truth, perfect[truth])):
            return number
    return None


def _undefined(metric: str, fold: int, is_stratified_enough: bool) -> ConfigError:
    """Return the error for a metric that the validation rows of a fold do not define."""
    kept = text_override("metric", metric)
    override = (kept, "dataset.stratify=true") if is_stratified_enough else "metric=loss"
    fix = "dataset.stratify=true, which divides the classes evenly" if is_stratified_enough else "metric=loss"
    what = f"{kept}: the validation rows of fold {fold} do not define it, because a class is not among them"
    return ConfigError(what, fix, key="metric", override=override)


def check_folds(jobs: Iterable[Job], executor: Executor) -> None:
    """Check the folds of the jobs, once for each dataset.

    Raises:
        ConfigError, DataError: The rows cannot be loaded, or not divided so.
    """
    folds: dict[str, list[int]] = {}
    configs: dict[str, Config] = {}
    for job in jobs:
        if job.config.fold is not None:
            key = json.dumps([job.config.dataset, job.config.folds], default=str, sort_keys=True)
            configs.setdefault(key, job.config)
            if job.config.seed == configs[key].seed:
                folds.setdefault(key, []).append(job.config.fold)
    for key, config in configs.items():
        if (error := executor.submit(CheckFolds(config, tuple(folds[key]))).result().refused) is not None:
            raise error
