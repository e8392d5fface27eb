"""What a metric was, job by job, against each choice: charts in SVG, whose points tell their job and lead to it."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from exp.results.formatting import format_metric

_WIDTH, _HEIGHT = 344, 230


_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 14, 24, 34


# Times as much as the smallest, from which on values are told apart on a logarithmic axis alone.
_LOG_SCALE_RATIO = 20.0


_MAX_TICKS = 6


_MAX_MEANS = 12  # of values drawn at random a line would be noise


_MAX_LABEL = 12


@dataclass(frozen=True)
class Point:
    """A job: the choice it made, as it was typed, what came out, where a click on it leads, and its name."""

    choice: str
    value: float
    link: str
    name: str


@dataclass(frozen=True)
class Axis:
    """Where values lie between two ends, in pixels; the words at some of them."""

    ends: tuple[float, float]
    pixels: tuple[float, float]
    ticks: Sequence[tuple[float, str]]
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float], pixels: tuple[float, float], names: Sequence[str] | None = None) -> "Axis":
        """Of these numbers; or where they have `names`, which are told instead, of their places."""
        found = sorted(set(values))
        is_log = names is None and found[0] > 0 and found[-1] / found[0] >= _LOG_SCALE_RATIO
        if len(found) > _MAX_TICKS:
            found = [found[0], found[len(found) // 2], found[-1]]
        ticks = [(value, f"{value:.4g}" if names is None else _short(names[int(value)])) for value in found]
        return cls((min(values), max(values)), pixels, ticks, is_log)

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


def scatter(choice: str, metric: str, points: Sequence[Point]) -> Scatter:
    """`metric` of each point, at least one, against what it chose; a line leads through the means of a few choices.

    Numbers lie by their size, all else in the order in which it comes.
    """
    places, names = _places([point.choice for point in points])
    inset = 8 if names is None else 36  # half of a word
    x = Axis.of(places, (_LEFT + inset, _WIDTH - _RIGHT - inset), names)
    y = Axis.of([point.value for point in points], (_HEIGHT - _BOTTOM - 8, _TOP + 8))
    log = {True: " (log)", False: ""}
    labels = [Label(_LEFT, 14, f"{metric}{log[y.is_log]} against {choice}{log[x.is_log]}", "start")]
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


def _places(choices: Sequence[str]) -> tuple[list[float], list[str] | None]:
    """Where each lies: at its own size if all are numbers; else at its place among their names, which come with it."""
    with suppress(ValueError):
        numbers = [float(choice) for choice in choices]
        if all(map(math.isfinite, numbers)):
            return numbers, None
    place = {name: float(number) for number, name in enumerate(dict.fromkeys(choices))}
    return [place[choice] for choice in choices], list(place)


def _short(word: str) -> str:
    return word if len(word) <= _MAX_LABEL else f"{word[: _MAX_LABEL // 2]}…{word[-_MAX_LABEL // 2 + 1 :]}"
