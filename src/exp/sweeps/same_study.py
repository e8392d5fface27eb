"""Check that a search continues its study with the overrides, ranges and metric that the study was begun with."""

import shlex
from collections.abc import Iterable, Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from exp.config.overrides import override_key
from exp.errors import ConfigError
from exp.sweeps.search_space import SearchSpace, to_range

ANOTHER = "another study: hydra.sweeper.study_name=NAME"

# Attributes of a study: the metric, and the overrides that are not searched.
_METRIC, _FIXED = "metric", "fixed"

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def save_settings(study: optuna.Study, metric: str, space: SearchSpace) -> None:
    """Save the metric and the overrides in a study that has none."""
    for name, value in {_METRIC: metric, _FIXED: shlex.join(_fixed(space))}.items():
        if name not in study.user_attrs:
            study.set_user_attr(name, value)


def find_difference(study: optuna.Study, metric: str, space: SearchSpace) -> ConfigError | None:
    """Return an error that names what differs from the study, and its former overrides; None if nothing does."""
    attributes = study.user_attrs
    if _FIXED not in attributes:
        return None
    trials = study.get_trials(deepcopy=False, states=_ENDED)
    ranges = trials[-1].distributions if trials else space.searched
    then = _settings(shlex.split(attributes[_FIXED]), ranges, attributes[_METRIC])
    now = _settings(_fixed(space), space.searched, metric)
    changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if not changed:
        return None
    if len(changed) > 1 and "sweep.metric" in changed:  # it follows from metric and folds
        changed.remove("sweep.metric")
    former = " ".join(shlex.quote(then[key]) if key in then else f"no {key}=" for key in changed)
    key = changed[0] if len(changed) == 1 else None
    return ConfigError(
        f"cannot continue the study {study.study_name}: {'; '.join(_describe(key, then, now) for key in changed)}",
        f"{former}, or {ANOTHER}",
        key=key,
        override=None if key is None else then.get(key, ""),
    )


def _fixed(space: SearchSpace) -> list[str]:
    return [*space.settings, *space.repeated]


def _settings(fixed: Iterable[str], ranges: Mapping[str, BaseDistribution], metric: str) -> dict[str, str]:
    """Return the overrides of a search by their keys."""
    searched = [f"{key}={to_range(distribution)}" for key, distribution in ranges.items()]
    return {override_key(word): word for word in (*fixed, *searched, f"sweep.metric={metric}")}


def _describe(key: str, then: Mapping[str, str], now: Mapping[str, str]) -> str:
    before = f"was {then[key].partition('=')[2]}" if key in then else "was not given"
    after = f"is now {now[key].partition('=')[2]}" if key in now else "is not given"
    return f"{key} {before}, {after}"
