"""A search instead of a grid: optuna says what to try next, from what came out before. `hydra/sweeper=optuna`."""

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from exp.config.constraints import CONSTRAINTS, example
from exp.errors import ConfigError
from exp.results import summary
from exp.sweeps.executors.worker_pool import worker_count

if TYPE_CHECKING:
    from exp.training.events import PruningCallback

_ANOTHER = "another study: hydra.sweeper.study_name=NAME"


_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}


# By how many epochs a trial has; not in the first fifth, where a good learning rate may still leap about.
_PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "median": lambda epochs: MedianPruner(n_warmup_steps=epochs // 5),
    "hyperband": lambda epochs: HyperbandPruner(max_resource=epochs),
    "none": lambda _: NopPruner(),
}


class PrunableTrial:
    """A trial that tells its study how it goes, once an epoch."""

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self._trial = trial
        self._name = metric.partition("/")[0]  # of the validation rows, whatever rows it is told of at its end
        self._epoch = 0
        self._is_pruned = False

    def should_prune(self, epoch: float, metrics: dict[str, float]) -> bool:
        """Whether it need not go on after so many epochs, whose last evaluation had these metrics."""
        if int(epoch) > self._epoch and self._name in metrics:
            self._epoch = int(epoch)
            self._trial.report(metrics[self._name], self._epoch)
            self._is_pruned = bool(self._trial.should_prune())  # optuna gives one of numpy's
        return self._is_pruned

    def report(self, study: optuna.Study, job: JobReturn) -> str:
        """Tell the study how the trial ended; and in words for a person."""
        value = float(job.return_value)
        if self._is_pruned or summary.read(Path(job.working_dir or ".")).get("status") == "pruned":
            study.tell(self._trial, state=TrialState.PRUNED)
            return f"pruned after epoch {self._epoch}" if self._is_pruned else "as one before, which was pruned"
        if math.isnan(value):
            study.tell(self._trial, state=TrialState.FAIL)
            return "failed"
        study.tell(self._trial, value)
        return f"{value:.4g}"


def distribution_of(override: Override) -> BaseDistribution:
    """What `key=interval(...)`, `range(...)` or `choice(...)`, or values with commas, let a search choose from.

    `tag(log, ...)` searches on a logarithmic scale, `int(interval(...))` whole numbers. ConfigError for what is none.
    """
    try:
        return _distribution_of(override)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{override.input_line}: {error}",
            "what a search can choose from, as tag(log,interval(0.001,1))",
            key=override.get_key_element(),
        ) from error


def _distribution_of(override: Override) -> BaseDistribution:
    value = override.value()
    if override.is_hydra_override() or override.get_key_element().startswith("sweep."):
        raise ConfigError(
            f"{override.input_line}: it is how the search itself is made, and nothing to choose",
            example(override.get_key_element()),
            key=override.get_key_element(),
        )
    if isinstance(value, IntervalSweep | RangeSweep | ChoiceSweep) and (strange := value.tags - {"log"}):
        raise ValueError(f"there is no tag {', '.join(sorted(strange))}, but log")
    if isinstance(value, IntervalSweep):
        log = "log" in value.tags
        low, high = cast(float, value.start), cast(float, value.end)
        if isinstance(low, int) and isinstance(high, int):  # of int(interval(...))
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, RangeSweep):
        if all(isinstance(part, int) for part in (value.start, value.stop, value.step)):
            numbers = sorted(range(*cast("tuple[int, int, int]", (value.start, value.stop, value.step))))
            if not numbers:
                raise ValueError("there is nothing in it")
            step = abs(cast("int", value.step))
            return IntDistribution(numbers[0], numbers[-1], step=step, log="log" in value.tags)
        if "log" in value.tags:
            raise ValueError("steps of a fraction are no logarithmic scale")
        return CategoricalDistribution(_texts(override))
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(_texts(override))
    what = f"{override.input_line}: a search has nothing to choose there"
    raise ConfigError(what, "interval(a,b) or choice(a,b)", key=override.get_key_element())


class _PruningLauncher(Protocol):
    """A launcher that can prune runs."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, pruning: "Sequence[PruningCallback]" = ()
    ) -> Sequence[JobReturn]: ...


def run_search(launcher: Launcher, loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> None:
    """Make jobs until the study holds `hydra.sweeper.n_trials` that ended, as many at a time as there are workers.

    With a `storage` a search that is started again goes on where it was. A run that failed or diverged is a failed
    trial, and not the end; one without hope ends early, where our own launcher makes it.

    ConfigError if there is nothing to choose from, or a setting is wrong.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    space = {
        override.get_key_element(): distribution_of(override) for override in overrides if override.is_sweep_override()
    }
    for key, distribution in space.items():
        _refuse_beyond(key, distribution)
    if not space:
        raise ConfigError("the search has nothing to choose", "optimizer.lr=tag(log,interval(0.001,1))")
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    settings, metric = config.hydra.sweeper, str(config.sweep.metric)
    study = _study(settings, metric, config.epochs)
    alike = [word for word in fixed if not word.startswith("sweep.")]
    _refuse_another(study, {"metric": metric, "fixed": shlex.join(alike)})
    number, most = 0, int(settings.n_trials)
    if _ended(study) >= most:
        print(f"the study holds {_ended(study)} trials; to go on: hydra.sweeper.n_trials={2 * _ended(study)}")
        sys.exit(0)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    while (left := most - _ended(study)) > 0:
        try:
            trials = [study.ask(space) for _ in range(max(1, worker_count(config.sweep.workers, left)))]
        except ValueError as error:  # of another kind than in the study
            raise ConfigError(f"the study has other choices: {error}", _ANOTHER) from error
        words = [[*fixed, *_words(trial.params)] for trial in trials]
        watched = [PrunableTrial(trial, metric) for trial in trials]
        pruning = [trial.should_prune for trial in watched]
        ours = cast("_PruningLauncher", launcher) if getattr(launcher, "supports_pruning", False) else None
        jobs = ours.launch(words, number, pruning) if ours is not None else launcher.launch(words, number)
        number += len(jobs)
        for trial, one, job in zip(trials, watched, jobs, strict=True):
            told = one.report(study, job)
            chosen = shlex.join(_words(trial.params))
            print(f"trial {_ended(study)} of {most}: {chosen}: {told}{_best(study)}", flush=True)


def _refuse_beyond(key: str, distribution: BaseDistribution) -> None:
    """ConfigError if the search could choose what this key may not hold."""
    if key in CONSTRAINTS and isinstance(distribution, FloatDistribution | IntDistribution):
        limit, _ = CONSTRAINTS[key]
        for end in (distribution.low, distribution.high):
            if not limit.accepts(end):
                fix = "ends that it may hold, as interval(0.001,1)"
                raise ConfigError(f"{key} must be {limit}, not {end:g}", fix, key=key)


def _refuse_another(study: optuna.Study, facts: dict[str, str]) -> None:
    """A study compares like with like: ConfigError if it was begun with other words, or by another metric."""
    for name, now in facts.items():
        then = study.user_attrs.get(name, now)
        if then != now:
            raise ConfigError(f"the study {study.study_name} was begun with {then}, and this is {now}", _ANOTHER)
        study.set_user_attr(name, now)


def _words(choices: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in choices.items()]


def _study(settings: DictConfig, metric: str, epochs: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for key, known in {"sampler": _SAMPLERS, "pruner": _PRUNERS}.items():
        if settings[key] not in known:
            raise _wrong_setting(key, f"one of {', '.join(known)}", settings[key], next(iter(known)))
    for key, least in {"n_trials": 1, "seed": 0}.items():
        if settings[key] < least:
            raise _wrong_setting(key, f"a whole number of at least {least}", settings[key], "20")
    place: str | None = settings.storage
    try:
        storage = JournalStorage(JournalFileBackend(place)) if place is not None and "://" not in place else place
        study = optuna.create_study(
            storage=storage,
            study_name=settings.study_name,
            direction="minimize" if metric.startswith(("loss", "rmse")) else "maximize",
            load_if_exists=storage is not None,
            pruner=_PRUNERS[settings.pruner](epochs),
        )
    except Exception as error:
        raise ConfigError(
            f"hydra.sweeper.storage={place}: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            "hydra.sweeper.storage=study.log, or sqlite:///study.db",
            key="hydra.sweeper.storage",
            override="hydra.sweeper.storage=study.log",
        ) from error
    # Of another seed when it goes on, or it would ask for the same again.
    study.sampler = _SAMPLERS[settings.sampler](settings.seed + len(study.get_trials(deepcopy=False)))
    return study


def _wrong_setting(key: str, allowed: str, value: object, usual: str) -> ConfigError:
    key, override = f"hydra.sweeper.{key}", f"hydra.sweeper.{key}={usual}"
    return ConfigError(f"{key} must be {allowed}, not {value}", override, key=key, override=override)


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)))


def _best(study: optuna.Study) -> str:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    return f"; the best is {study.best_value:.4g}: {shlex.join(_words(study.best_params))}"


def _texts(override: Override) -> list[str]:
    return [str(text) for text in override.sweep_string_iterator()]
