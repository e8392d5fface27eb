"""The search space: optuna's distribution of each override with several values."""

from typing import cast

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from exp.config.constraints import CONSTRAINTS, example
from exp.errors import ConfigError


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
