"""A search instead of a grid: optuna says what to try next, from what came out before. `hydra/sweeper=optuna`."""

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from exp.errors import ConfigError

_ANOTHER = "another study: hydra.sweeper.study_name=NAME"
_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "qmc": lambda seed: QMCSampler(seed=seed),
}


def distribution_of(override: Override) -> BaseDistribution:
    """What `key=interval(...)`, `range(...)` or `choice(...)`, or values with commas, let a search choose from.

    `tag(log, ...)` searches on a logarithmic scale, `int(interval(...))` whole numbers. ConfigError for what is none.
    """
    value = override.value()
    if isinstance(value, IntervalSweep):
        log = "log" in value.tags
        low, high = cast(float, value.start), cast(float, value.end)
        if isinstance(low, int) and isinstance(high, int):  # of int(interval(...))
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, RangeSweep):
        if all(isinstance(part, int) for part in (value.start, value.stop, value.step)):
            numbers = range(*cast("tuple[int, int, int]", (value.start, value.stop, value.step)))
            return IntDistribution(numbers[0], numbers[-1], step=numbers.step)
        return CategoricalDistribution(_texts(override))
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(_texts(override))
    raise ConfigError(f"{override.input_line}: a search has nothing to choose there", "interval(a,b) or choice(a,b)")


def search(launcher: Launcher, loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> None:
    """Make jobs until the study holds `hydra.sweeper.n_trials` that ended, as many at a time as there are workers.

    With a `storage` a search that is started again goes on where it was. A run that failed or diverged is a failed
    trial, and not the end. ConfigError if there is nothing to choose from, or a setting is wrong.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    space = {
        override.get_key_element(): distribution_of(override) for override in overrides if override.is_sweep_override()
    }
    if not space:
        raise ConfigError("the search has nothing to choose", "optimizer.lr=tag(log,interval(0.001,1))")
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    settings, measure = config.hydra.sweeper, str(config.sweep.measure)
    study = _study(settings, measure)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    alike = [word for word in fixed if not word.startswith("sweep.")]
    _refuse_another(study, {"measure": measure, "fixed": shlex.join(alike)})
    number, most = 0, int(settings.n_trials)
    if _ended(study) >= most:
        print(f"the study holds {_ended(study)} trials; to go on: hydra.sweeper.n_trials={2 * max(1, _ended(study))}")
        sys.exit(0)
    while (left := most - _ended(study)) > 0:
        try:
            trials = [study.ask(space) for _ in range(min(left, max(1, int(config.sweep.workers))))]
        except ValueError as error:  # of another kind than in the study
            raise ConfigError(f"the study has other choices: {error}", _ANOTHER) from error
        jobs = launcher.launch([[*fixed, *_words(trial.params)] for trial in trials], number)
        number += len(jobs)
        for trial, job in zip(trials, jobs, strict=True):
            value = float(job.return_value)
            failed = math.isnan(value)
            study.tell(trial, None if failed else value, TrialState.FAIL if failed else None)
            told = "failed" if failed else f"{measure} {value:.4g}"
            words = shlex.join(_words(trial.params))
            print(f"trial {_ended(study)} of {most}: {words}: {told}{_best(study)}", flush=True)


def _refuse_another(study: optuna.Study, facts: dict[str, str]) -> None:
    """A study compares like with like: ConfigError if it was begun with other words, or by another measure."""
    for name, now in facts.items():
        then = study.user_attrs.get(name, now)
        if then != now:
            raise ConfigError(f"the study {study.study_name} was begun with {then}, and this is {now}", _ANOTHER)
        study.set_user_attr(name, now)


def _words(choices: dict[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in choices.items()]


def _study(settings: DictConfig, measure: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if settings.sampler not in _SAMPLERS:
        raise ConfigError(
            f"hydra.sweeper.sampler must be one of {', '.join(_SAMPLERS)}, not {settings.sampler}",
            "hydra.sweeper.sampler=tpe",
        )
    place: str | None = settings.storage
    storage = JournalStorage(JournalFileBackend(place)) if place is not None and "://" not in place else place
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=settings.study_name,
            direction="minimize" if measure.startswith(("loss", "rmse")) else "maximize",
            load_if_exists=storage is not None,
        )
    except Exception as error:
        raise ConfigError(
            f"hydra.sweeper.storage={place}: {str(error).splitlines()[0]}",
            "hydra.sweeper.storage=study.log, or sqlite:///study.db",
        ) from error
    # Of another seed when it goes on, or it would ask for the same again.
    study.sampler = _SAMPLERS[settings.sampler](settings.seed + len(study.get_trials(deepcopy=False)))
    return study


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL)))


def _best(study: optuna.Study) -> str:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    return f"; the best is {study.best_value:.4g}: {shlex.join(_words(study.best_params))}"


def _texts(override: Override) -> list[str]:
    return [str(text) for text in override.sweep_string_iterator()]
