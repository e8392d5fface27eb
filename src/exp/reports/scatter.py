"""Scatter charts in SVG of a metric against a choice; a circle names its job and links to it."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from exp.results.formatting import format_metric

_WIDTH, _HEIGHT = 344, 230


_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 14, 24, 34


# From this ratio of largest to smallest value, the axis is logarithmic.
_LOG_SCALE_RATIO = 20.0


_MAX_TICKS = 6


_MAX_MEANS = 12  # a line through the means of more choices would be noise


_MAX_LABEL = 12


@dataclass(frozen=True)
class Point:
    """A job: its choice, as on the command line, the metric's value, its address and its name."""

    choice: str
    value: float
    link: str
    name: str


@dataclass(frozen=True)
class Axis:
    """Maps values between two ends to pixels; `ticks` are labelled values."""

    ends: tuple[float, float]
    pixels: tuple[float, float]
    ticks: Sequence[tuple[float, str]]
    is_log: bool

    @classmethod
    def of(
        cls,
        values: Sequence[float],
        pixels: tuple[float, float],
        names: Sequence[str] | None = None,
        min_log_ratio: float = _LOG_SCALE_RATIO,
    ) -> "Axis":
        """Return the axis for `values`. If there are `names`, values are indices of names, which label the ticks."""
        marked = sorted(set(values))
        is_log = names is None and marked[0] > 0 and marked[-1] / marked[0] >= min_log_ratio
        if len(marked) > _MAX_TICKS:
            marked = _spread(marked, is_log)
        ticks = [(value, f"{value:.4g}" if names is None else _shorten(names[int(value)])) for value in marked]
        return cls((min(values), max(values)), pixels, ticks, is_log)

    def title(self, name: str) -> str:
        return f"{name} (log)" if self.is_log else name

    def at(self, value: float) -> float:
        low, high, value = (math.log(v) if self.is_log else v for v in (*self.ends, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.pixels[0] + share * (self.pixels[1] - self.pixels[0])


class Label(NamedTuple):
    """Text at a place in pixels, which is its start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str


class Mark(NamedTuple):
    """The circle of a job."""

    x: float
    y: float
    text: str
    link: str


@dataclass(frozen=True)
class Scatter:
    """A chart, as templates/scatter.svg draws it; all places are in pixels."""

    labels: list[Label]
    means: list[tuple[float, float]]
    marks: list[Mark]
    axes: str = f"M{_LEFT} {_TOP} V{_HEIGHT - _BOTTOM} H{_WIDTH - _RIGHT}"
    width: int = _WIDTH
    height: int = _HEIGHT


def scatter(choice: str, metric: str, points: Sequence[Point], is_log: bool = False) -> Scatter:
    """Lay out the chart of `metric` against the choice of at least one point.

    Numeric choices are placed by value, others in order of appearance. A line connects the means of a few choices.

    Args:
        is_log: Place positive numbers on a logarithmic axis. Otherwise they are if they span a wide range.
    """
    places, names = _places([point.choice for point in points])
    inset = 22 if names is None else 36  # half of a label
    ratio = 1.0 if is_log else _LOG_SCALE_RATIO
    x = Axis.of(places, (_LEFT + inset, _WIDTH - _RIGHT - inset), names, ratio)
    y = Axis.of([point.value for point in points], (_HEIGHT - _BOTTOM - 8, _TOP + 8))
    labels = [Label(_LEFT, 14, f"{y.title(metric)} against {x.title(choice)}", "start")]
    labels += [Label(x.at(value), _HEIGHT - _BOTTOM + 16, text, "middle") for value, text in x.ticks]
    labels += [
        Label(_LEFT - 6, y.at(value) + 4, format_metric(metric, value), "end") for value in dict.fromkeys(y.ends)
    ]
    values: dict[float, list[float]] = {}
    for point, place in zip(points, places, strict=True):
        values.setdefault(place, []).append(point.value)
    means = [(x.at(place), y.at(statistics.fmean(values[place]))) for place in sorted(values)]
    marks = [
        Mark(
            x.at(place),
            y.at(point.value),
            f"{point.name}: {metric} {format_metric(metric, point.value)}",
            point.link,
        )
        for point, place in zip(points, places, strict=True)
    ]
    return Scatter(labels, means if len(means) <= _MAX_MEANS else [], marks)


def _spread(values: Sequence[float], is_log: bool) -> list[float]:
    """Return the ticks for many sorted values: powers of ten, or the ends and the value closest to the middle."""
    low, high = values[0], values[-1]
    if not is_log:
        return [low, min(values, key=lambda value: abs(value - (low + high) / 2)), high]
    decades = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    decades = decades[:: max(1, -(-len(decades) // _MAX_TICKS))]
    return decades if len(decades) > 1 else [low, high]


def _places(choices: Sequence[str]) -> tuple[list[float], list[str] | None]:
    """Return the value of each choice and None if all are numbers; else the index of each name, and the names."""
    with suppress(ValueError):
        numbers = [float(choice) for choice in choices]
        if all(map(math.isfinite, numbers)):
            return numbers, None
    indices = {name: float(number) for number, name in enumerate(dict.fromkeys(choices))}
    return [indices[choice] for choice in choices], list(indices)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL // 2]}…{text[-_MAX_LABEL // 2 + 1 :]}"
