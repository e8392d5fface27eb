"""Check that the rows have the metrics of the jobs and can be divided into folds, before the first job begins."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exp.config.metric_names import OF_ANY_TARGET, chosen_metrics
from exp.config.overrides import text_override
from exp.config.schema import Config
from exp.errors import ConfigError, DataError
from exp.sweeps.executors.executor import Executor
from exp.sweeps.jobs import Job
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
    from exp.data.dataset import Dataset
    from exp.data.folds import Rows
    from exp.training.pruning import PruningCallback
    from exp.training.reuse import JobCache


@dataclass(frozen=True)
class CheckData:
    """Loads the rows of jobs with one dataset. What is wrong is the outcome's refusal.

    `configs` are those with other metrics or losses, by these, and `folds` the folds to divide the rows into.
    """

    configs: dict[str, Config] = field(default_factory=dict[str, Config])
    folds: list[int] = field(default_factory=list[int])

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Return the first error. With an exception of another kind, each job of a sweep fails by itself."""
        del should_prune
        from exp.data.assign_rows import assign_fold
        from exp.data.folds import Fold
        from exp.data.seeding import preserved_streams
        from exp.training.choices import decide_by_target
        from exp.training.metric_choice import check_metrics
        from exp.training.rows import load_dataset, split_seed, stratify_of

        first = next(iter(self.configs.values()))
        seed, split = split_seed(first), first.dataset.get("split")
        folds = [Fold(number, int(first.folds or 0), first.fold_repeats) for number in self.folds]
        with preserved_streams():
            try:
                dataset = cache.reuse_dataset(first.dataset, lambda: load_dataset(first))
                for config in self.configs.values():
                    loss = decide_by_target(config, dataset.target_kind).loss
                    check_metrics(config.metrics, config.metric, dataset.target_kind, loss.get("output") != "value")
                val = [assign_fold(dataset, fold, split, seed, stratify_of(first))[1] for fold in folds]
                for metric in {config.metric: None for config in self.configs.values() if config.metric != "loss"}:
                    if (undefined := _find_undefined(metric, dataset, val)) is not None:
                        even = [assign_fold(dataset, fold, split, seed, True)[1] for fold in folds]
                        is_solved = _find_undefined(metric, dataset, even) is None
                        raise _undefined(metric, self.folds[undefined], is_solved)
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


def check_data(jobs: Iterable[Job], executor: Executor) -> None:
    """Check the folds and the metrics of the jobs, once for each dataset. Jobs that have neither are not checked.

    Raises:
        ConfigError, DataError: The rows cannot be loaded, or not divided so, or do not have a metric.
    """
    checks: dict[str, CheckData] = {}
    for config in (job.config for job in jobs):
        if config.fold is None and set(chosen_metrics(config.metrics, config.metric)) <= set(OF_ANY_TARGET):
            continue
        check = checks.setdefault(_key(config.dataset, config.folds), CheckData())
        check.configs.setdefault(_key(config.metrics, config.metric, config.loss), config)
        is_of_first_seed = config.seed == next(iter(check.configs.values())).seed
        if config.fold is not None and is_of_first_seed and config.fold not in check.folds:
            check.folds.append(config.fold)
    for check in checks.values():
        if (error := executor.submit(check).result().refused) is not None:
            raise error


def _key(*content: object) -> str:
    return json.dumps(content, default=str, sort_keys=True)
