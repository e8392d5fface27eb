"""Check that the rows of a cross-validation can be divided into its folds, before the first job begins."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exp.config.schema import Config
from exp.errors import ConfigError, DataError
from exp.sweeps.executors._base import Executor
from exp.sweeps.jobs import Job
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
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
        seed, stratify, split = split_seed(config), stratify_of(config), config.dataset.get("split")
        with preserved_streams():
            try:
                dataset = cache.reuse_dataset(config.dataset, lambda: load_dataset(config))
                loss = resolve_by_target(config, dataset.target_kind).loss
                check_metrics(config.metrics, config.metric, dataset.target_kind, loss.get("output") != "value")
                for number in self.folds:
                    fold = Fold(number, int(config.folds or 0), config.fold_repeats)
                    assign_fold(dataset, fold, split, seed, stratify)
            except (ConfigError, DataError) as error:
                return Outcome(refused=error)
        return Outcome()


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
