"""run_search: optuna chooses the jobs from the results of earlier ones. `hydra/sweeper=optuna`"""

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from exp.config.metric_names import is_higher_better
from exp.errors import ConfigError
from exp.results import summary
from exp.results.run_folder import MULTIRUN
from exp.sweeps.executors.worker_pool import worker_count
from exp.sweeps.search_space import check_range, distribution_of

if TYPE_CHECKING:
    from exp.training.events import PruningCallback

_ANOTHER = "another study: hydra.sweeper.study_name=NAME"


_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}


# By the number of epochs, or auto. The first fifth is not pruned: with a good learning rate the loss may still jump.
_PRUNERS: dict[str, Callable[[int | str], BasePruner]] = {
    "median": lambda epochs: MedianPruner(n_warmup_steps=epochs // 5 if isinstance(epochs, int) else 2),
    "hyperband": lambda epochs: HyperbandPruner(max_resource=epochs),
    "none": lambda _: NopPruner(),
}


class PrunableTrial:
    """A trial that reports to its study once an epoch."""

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self._trial = trial
        self._name = metric.rpartition("/")[0]  # pruning uses the validation rows, whatever split the study is for
        self._epoch = 0
        self._is_pruned = False

    def should_prune(self, epoch: float, metrics: dict[str, float]) -> bool:
        """Report the validation metrics after `epoch`, and return whether the pruner ends the trial."""
        if int(epoch) > self._epoch and self._name in metrics:
            self._epoch = int(epoch)
            self._trial.report(metrics[self._name], self._epoch)
            self._is_pruned = bool(self._trial.should_prune())  # optuna returns a NumPy bool
        return self._is_pruned

    def report(self, study: optuna.Study, job: JobReturn) -> str:
        """Report the end of the trial to the study, and return a description of it."""
        value = float(job.return_value)
        if self._is_pruned or summary.read(Path(job.working_dir or ".")).get("status") == "pruned":
            study.tell(self._trial, state=TrialState.PRUNED)
            return (
                f"pruned after epoch {self._epoch}"
                if self._is_pruned
                else "equal to an earlier trial, which was pruned"
            )
        if math.isnan(value):
            study.tell(self._trial, state=TrialState.FAIL)
            return "failed"
        study.tell(self._trial, value)
        return f"{value:.4g}"


class _PruningLauncher(Protocol):
    """A launcher that can prune runs."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, pruning: "Sequence[PruningCallback]" = ()
    ) -> Sequence[JobReturn]: ...


def run_search(launcher: Launcher, loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> None:
    """Run jobs until the study has `hydra.sweeper.n_trials` finished trials, `sweep.workers` at a time.

    A search with a `storage` continues its study. A run that fails or diverges is a failed trial. Runs are pruned if
    the launcher supports it.

    Raises:
        ConfigError: There is nothing to search, or a setting is invalid.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    space = {
        override.get_key_element(): distribution_of(override) for override in overrides if override.is_sweep_override()
    }
    for key, distribution in space.items():
        check_range(key, distribution)
    if not space:
        raise ConfigError(
            "the search has no key with several values to choose from", "optimizer.lr=tag(log,interval(0.001,1))"
        )
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    settings, metric = config.hydra.sweeper, str(config.sweep.metric)
    study = _study(settings, metric, config.epochs)
    common = [override for override in fixed if not override.startswith("sweep.")]
    _check_same_study(study, {"metric": metric, "fixed": shlex.join(common)})
    number, n_trials = 0, int(settings.n_trials)
    if _ended(study) >= n_trials:
        print(f"the study already has {_ended(study)} trials; to continue: hydra.sweeper.n_trials={2 * _ended(study)}")
        sys.exit(0)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / MULTIRUN)
    while (left := n_trials - _ended(study)) > 0:
        try:
            trials = [study.ask(space) for _ in range(max(1, worker_count(config.sweep.workers, left)))]
        except ValueError as error:  # the study has other distributions
            raise ConfigError(f"the study has other ranges: {error}", _ANOTHER) from error
        jobs = [[*fixed, *_overrides(trial.params)] for trial in trials]
        prunable = [PrunableTrial(trial, metric) for trial in trials]
        pruning = [trial.should_prune for trial in prunable]
        ours = cast("_PruningLauncher", launcher) if getattr(launcher, "supports_pruning", False) else None
        results = ours.launch(jobs, number, pruning) if ours is not None else launcher.launch(jobs, number)
        number += len(results)
        for trial, reporter, result in zip(trials, prunable, results, strict=True):
            outcome = reporter.report(study, result)
            choices = shlex.join(_overrides(trial.params))
            print(f"trial {_ended(study)} of {n_trials}: {choices}: {outcome}{_best(study)}", flush=True)


def _check_same_study(study: optuna.Study, facts: dict[str, str]) -> None:
    """Raise ConfigError if the study was begun with other overrides or another metric."""
    for name, current in facts.items():
        saved = study.user_attrs.get(name, current)
        if saved != current:
            raise ConfigError(f"the study {study.study_name} was started with '{saved}', not '{current}'", _ANOTHER)
        study.set_user_attr(name, current)


def _overrides(choices: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in choices.items()]


def _study(settings: DictConfig, metric: str, epochs: int | str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for key, allowed in {"sampler": _SAMPLERS, "pruner": _PRUNERS}.items():
        if settings[key] not in allowed:
            raise _wrong_setting(key, f"one of {', '.join(allowed)}", settings[key], next(iter(allowed)))
    for key, minimum in {"n_trials": 1, "seed": 0}.items():
        if settings[key] < minimum:
            raise _wrong_setting(key, f"an integer >= {minimum}", settings[key], "20")
    url: str | None = settings.storage
    try:
        storage = JournalStorage(JournalFileBackend(url)) if url is not None and "://" not in url else url
        study = optuna.create_study(
            storage=storage,
            study_name=settings.study_name,
            direction="maximize" if is_higher_better(metric.rpartition("/")[0]) else "minimize",
            load_if_exists=storage is not None,
            pruner=_PRUNERS[settings.pruner](epochs),
        )
    except Exception as error:
        raise ConfigError(
            f"hydra.sweeper.storage={url}: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            "hydra.sweeper.storage=study.log, or sqlite:///study.db",
            key="hydra.sweeper.storage",
            override="hydra.sweeper.storage=study.log",
        ) from error
    # Another seed when the study continues, or it would suggest the same trials again.
    study.sampler = _SAMPLERS[settings.sampler](settings.seed + len(study.get_trials(deepcopy=False)))
    return study


def _wrong_setting(key: str, allowed: str, value: object, usual: str) -> ConfigError:
    key, override = f"hydra.sweeper.{key}", f"hydra.sweeper.{key}={usual}"
    return ConfigError(f"{key} must be {allowed}, got {value}", override, key=key, override=override)


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)))


def _best(study: optuna.Study) -> str:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    return f"; the best is {study.best_value:.4g}: {shlex.join(_overrides(study.best_params))}"
