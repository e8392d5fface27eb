"""The study of a search: its sampler, its pruner and its storage."""

from collections.abc import Callable, Sequence
from functools import partial

import optuna
from omegaconf import DictConfig
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from exp.config.metric_names import is_higher_better
from exp.errors import ConfigError
from exp.sweeps.same_study import find_difference, save_settings
from exp.sweeps.search_space import SearchSpace
from exp.sweeps.short_numbers import ShortNumbers

# An attribute of a trial whose jobs were interrupted. It does not count as a trial.
INTERRUPTED = "interrupted"

# An attribute of a trial: the folder of the search that began it.
FOLDER = "folder"


# By the seed, and whether trials run at the same time. Then tpe counts running trials as bad, to try others.
_SAMPLERS: dict[str, Callable[[int, bool], BaseSampler]] = {
    "tpe": lambda seed, is_parallel: TPESampler(seed=seed, constant_liar=is_parallel),
    "random": lambda seed, _: RandomSampler(seed=seed),
}


# By the number of steps of a trial, or auto, and how many of them are not pruned.
_PRUNERS: dict[str, Callable[[int | str, int], BasePruner]] = {
    "median": lambda _, warmup: MedianPruner(n_warmup_steps=warmup),
    "hyperband": lambda steps, _: HyperbandPruner(max_resource=steps),
    "none": lambda _, __: NopPruner(),
}


def open_study(
    settings: DictConfig, metric: str, space: SearchSpace, epochs: int | str, is_parallel: bool
) -> optuna.Study:
    """Create the study that `hydra.sweeper` describes, or load it from its storage.

    Raises:
        ConfigError: A setting is invalid, the storage cannot be used, or its study has other overrides or ranges.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for key, allowed in {"sampler": _SAMPLERS, "pruner": _PRUNERS}.items():
        if settings[key] not in allowed:
            raise _wrong_setting(key, f"one of {', '.join(allowed)}", settings[key], next(iter(allowed)))
    for key, minimum in {"n_trials": 1, "seed": 0}.items():
        if settings[key] < minimum:
            raise _wrong_setting(key, f"an integer >= {minimum}", settings[key], "20")
    jobs_per_trial = len(space.repeats)
    if jobs_per_trial == 1:  # with a good learning rate the loss may still jump in the first fifth
        steps, warmup = epochs, epochs // 5 if isinstance(epochs, int) else 2
    else:  # by the mean of the jobs that finished
        steps, warmup = jobs_per_trial, 0
    url: str | None = settings.storage
    try:
        storage = JournalStorage(JournalFileBackend(url)) if url is not None and "://" not in url else url
        create = partial(
            optuna.create_study,
            storage=storage,
            study_name=settings.study_name,
            direction="maximize" if is_higher_better(metric.rpartition("/")[0]) else "minimize",
            load_if_exists=storage is not None,
            pruner=_PRUNERS[settings.pruner](steps, warmup),
        )
        study = create()
    except Exception as error:
        raise ConfigError(
            f"hydra.sweeper.storage={url}: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            "hydra.sweeper.storage=study.log, or sqlite:///study.db",
            key="hydra.sweeper.storage",
            override="hydra.sweeper.storage=study.log",
        ) from error
    if storage is not None and (difference := find_difference(study, metric, space)) is not None:
        if any(INTERRUPTED not in trial.user_attrs for trial in study.get_trials(deepcopy=False)):
            raise difference
        optuna.delete_study(study_name=study.study_name, storage=storage)  # of a command that was refused
        study = create()
    save_settings(study, metric, space)
    # Another seed when the study continues, or it would suggest the same trials again.
    seed = settings.seed + len(study.get_trials(deepcopy=False))
    study.sampler = ShortNumbers(_SAMPLERS[settings.sampler](seed, is_parallel))
    return study


def read_ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that finished, failed or were pruned. It reads the storage."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [trial for trial in ended if INTERRUPTED not in trial.user_attrs]


def find_best_trial(trials: Sequence[FrozenTrial], direction: StudyDirection) -> FrozenTrial | None:
    """Return the best finished one of the trials; None if there is none."""
    finished = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
    return min(finished, key=lambda trial: sign * (trial.value or 0.0), default=None)


def _wrong_setting(key: str, allowed: str, value: object, usual: str) -> ConfigError:
    key, override = f"hydra.sweeper.{key}", f"hydra.sweeper.{key}={usual}"
    return ConfigError(f"{key} must be {allowed}, got {value}", override, key=key, override=override)
