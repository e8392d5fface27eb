"""Round the numbers that a search samples, so that a trial can be typed: 0.04431 instead of 0.044303752452182654."""

import math
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

_DIGITS = 4


# A narrow range, such as 1000 to 1000.5, gets the digits that leave at least so many values.
_MIN_VALUES = 100


class ShortNumbers(BaseSampler):
    """The values of another sampler, numbers rounded to 4 significant digits."""

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        sampled = self._sampler.sample_relative(study, trial, search_space)
        return {name: shorten(value, search_space[name]) for name, value in sampled.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        value = self._sampler.sample_independent(study, trial, param_name, param_distribution)
        return shorten(value, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._sampler.after_trial(study, trial, state, values)


def shorten(value: Any, distribution: BaseDistribution) -> Any:
    """Return a number rounded within its range; any other value unchanged."""
    if not isinstance(distribution, FloatDistribution) or value == 0:
        return value
    low, high = distribution.low, distribution.high
    digits = _DIGITS
    if high > low:
        digits = max(digits, _exponent(value) - _exponent((high - low) / _MIN_VALUES) + 1)
    rounded = (float(f"{value:.{count - 1}e}") for count in range(digits, 18))  # 18 digits are exact
    return next((number for number in rounded if low <= number <= high), value)


def _exponent(number: float) -> int:
    """Return the exponent of the first digit of a number: -2 of 0.05."""
    return math.floor(math.log10(abs(number)))
