"""The search space: optuna's distribution of each override with several values, and the jobs of a trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from exp.config.constraints import CONSTRAINTS, example
from exp.errors import ConfigError
from exp.results.repeats import REPEATED


@dataclass(frozen=True)
class SearchSpace:
    """The arguments of a search, by what a trial does with them."""

    searched: dict[str, BaseDistribution]
    fixed: list[str]
    repeated: list[str]  # overrides with several seeds or folds, as typed
    repeats: list[list[str]]  # what each job of a trial sets of these

    @property
    def settings(self) -> list[str]:
        """The fixed overrides that belong to the jobs, not to the sweep."""
        return [override for override in self.fixed if not override.startswith("sweep.")]

    def examples(self) -> list[list[str]]:
        """Return overrides of jobs in which each text to choose from occurs, with the first choice of all others."""
        first = {key: _choices(distribution)[0] for key, distribution in self.searched.items()}
        chosen = [first] + [
            {**first, key: choice}
            for key, distribution in self.searched.items()
            for choice in _choices(distribution)[1:]
        ]
        return [[*self.fixed, *to_overrides(choices), *self.repeats[0]] for choices in chosen]


def _choices(distribution: BaseDistribution) -> Sequence[Any]:
    """Return the texts to choose from, or the lower end of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return [cast("FloatDistribution | IntDistribution", distribution).low]


def read_space(overrides: Sequence[Override]) -> SearchSpace:
    """Sort the overrides of a search. ConfigError if a range is invalid, or there is nothing to search."""
    swept = [override for override in overrides if override.is_sweep_override()]
    repeated = [override for override in swept if override.key_or_group in REPEATED]
    searched = {override.get_key_element(): distribution_of(override) for override in swept if override not in repeated}
    for key, distribution in searched.items():
        check_range(key, distribution)
    if not searched:
        raise ConfigError(
            "the search has no key with several values to choose from", "optimizer.lr=tag(log,interval(0.001,1))"
        )
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    repeats = [list(choice) for choice in product(*map(_values, repeated))]
    return SearchSpace(searched, fixed, [str(override.input_line) for override in repeated], repeats)


def _values(override: Override) -> list[str]:
    """Return an override for each value of one with several values."""
    key = override.get_key_element()
    if isinstance(override.value(), IntervalSweep):
        what = f"{override.input_line}: a trial is averaged over its values of {key}, which must be listed"
        raise ConfigError(what, f"{key}=0,1,2", key=key)
    return [f"{key}={value}" for value in _texts(override)]


def distribution_of(override: Override) -> BaseDistribution:
    """Return the distribution of `key=interval(...)`, `range(...)`, `choice(...)`, or values with commas.

    `tag(log, ...)` is a logarithmic scale, `int(interval(...))` are integers. Raises ConfigError for anything else.
    """
    try:
        return _distribution_of(override)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{override.input_line}: {error}",
            "a range, such as tag(log,interval(0.001,1))",
            key=override.get_key_element(),
        ) from error


def _distribution_of(override: Override) -> BaseDistribution:
    value = override.value()
    if override.is_hydra_override() or override.get_key_element().startswith("sweep."):
        raise ConfigError(
            f"{override.input_line}: a setting of the search cannot be searched",
            example(override.get_key_element()),
            key=override.get_key_element(),
        )
    if isinstance(value, IntervalSweep | RangeSweep | ChoiceSweep) and (unknown := value.tags - {"log"}):
        raise ValueError(f"unknown tag {', '.join(sorted(unknown))} (available: log)")
    if isinstance(value, IntervalSweep):
        log = "log" in value.tags
        low, high = cast(float, value.start), cast(float, value.end)
        if isinstance(low, int) and isinstance(high, int):  # int(interval(...))
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, RangeSweep):
        if all(isinstance(part, int) for part in (value.start, value.stop, value.step)):
            numbers = sorted(range(*cast("tuple[int, int, int]", (value.start, value.stop, value.step))))
            if not numbers:
                raise ValueError("the range is empty")
            step = abs(cast("int", value.step))
            return IntDistribution(numbers[0], numbers[-1], step=step, log="log" in value.tags)
        if "log" in value.tags:
            raise ValueError("a logarithmic range needs integer steps")
        return CategoricalDistribution(_texts(override))
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(_texts(override))
    what = f"{override.input_line}: a search needs several values to choose from"
    raise ConfigError(what, "interval(a,b) or choice(a,b)", key=override.get_key_element())


def check_range(key: str, distribution: BaseDistribution) -> None:
    """Raise ConfigError if the search could choose a value that the key does not allow."""
    if key in CONSTRAINTS and isinstance(distribution, FloatDistribution | IntDistribution):
        limit, _ = CONSTRAINTS[key]
        for end in (distribution.low, distribution.high):
            if not limit.accepts(end):
                fix = "a range within the limits, such as interval(0.001,1)"
                raise ConfigError(f"{key} must be {limit}, got {end:g}", fix, key=key)


def _texts(override: Override) -> list[str]:
    return [str(text) for text in override.sweep_string_iterator()]


def to_overrides(choices: dict[str, Any]) -> list[str]:
    """Return the overrides that set the parameters of a trial."""
    return [f"{key}={value}" for key, value in choices.items()]


def to_range(distribution: BaseDistribution) -> str:
    """Return what is typed for a distribution: the inverse of `distribution_of`."""
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(map(str, distribution.choices))
    ends = cast("FloatDistribution | IntDistribution", distribution)
    low, high = (str(end).removesuffix(".0") for end in (ends.low, ends.high))
    if isinstance(ends, IntDistribution) and ends.step > 1:
        return f"range({low},{ends.high + 1},{ends.step})"
    text = f"tag(log,interval({low},{high}))" if ends.log else f"interval({low},{high})"
    return f"int({text})" if isinstance(ends, IntDistribution) else text
