"""Summarize a study in search.json: its best trial, and the importance of each searched key."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from exp.config.overrides import shell_line
from exp.errors import ConfigError
from exp.results import search_json
from exp.results.resume_line import read_study
from exp.results.search_json import SearchRecord
from exp.sweeps.search_space import SearchSpace, to_overrides
from exp.sweeps.study import FOLDER, find_best_trial

# With fewer finished trials, importances would be noise.
_MIN_TRIALS = 8


def summarize(
    trials: Sequence[FrozenTrial], direction: StudyDirection, space: SearchSpace, metric: str, config_dir: Sequence[str]
) -> SearchRecord:
    """Return the record of a search whose `trials` have ended, without importances."""
    best = find_best_trial(trials, direction)
    params = {} if best is None else best.params
    # Without the folds, which the key folds= stands for.
    repeated = [override for override in space.repeated if not override.startswith("fold=")]
    words = [*config_dir, *space.settings, *to_overrides(params), *repeated]
    return SearchRecord(
        metric=metric,
        direction=direction.name.lower(),
        trials=len(trials),
        best_value=None if best is None else best.value,
        best_params=params,
        best_command="" if best is None else shell_line(["-m", *words] if repeated else words),
        best_folder="" if best is None else best.user_attrs.get(FOLDER, ""),
        log=[key for key, distribution in space.searched.items() if getattr(distribution, "log", False)],
    )


def write_record(study: optuna.Study, folder: Path, record: SearchRecord) -> None:
    """Write the record of a study into `folder`, and into those of earlier searches that began trials of it."""
    search_json.write(folder, record)
    trials = study.get_trials(deepcopy=False)
    began = {str(trial.user_attrs[FOLDER]) for trial in trials if FOLDER in trial.user_attrs}
    for other in began - {str(folder.absolute())}:
        with suppress(OSError, ConfigError):  # it was moved, or is read-only
            if _read_study(Path(other)) == _read_study(folder):
                search_json.write(Path(other), record)


_read_study = cache(read_study)


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the share of each key in the variation of the metric over the finished trials, by fANOVA; most first.

    It is empty if there are too few trials, or nothing to tell apart: a single key, or equal values.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = [trial.value for trial in trials if trial.value is not None and math.isfinite(trial.value)]
    keys = {key for trial in trials for key in trial.params if len({other.params.get(key) for other in trials}) > 1}
    if len(values) < _MIN_TRIALS or len(set(values)) < 2 or len(keys) < 2:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances  # lazy: imports scikit-learn

    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
