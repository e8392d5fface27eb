"""Filters of a list of runs, written as overrides are: dataset=iris,wine status=finished 'optimizer.lr<0.1'."""

import math
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, cast

from exp.config.nearest_names import nearest
from exp.config.overrides import reads_as
from exp.errors import ConfigError, as_yaml
from exp.results.differing import settings_of, short_names
from exp.results.listed import Listed

# What a list says of a run besides its settings and metrics.
OWN_KEYS: dict[str, Callable[[Listed], Any]] = {
    "folder": lambda one: one.folder,
    "name": lambda one: one.name,
    "tag": lambda one: one.tags,
    "kind": lambda one: one.kind,
    "status": lambda one: one.status,
    "when": lambda one: one.when,
    "seconds": lambda one: one.seconds,
    "notes": lambda one: one.notes,
    "engine_used": lambda one: tuple(sorted(one.engines)),
}

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WHEN = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d)?)?)?)?")
_FILTER = re.compile(r"([\w.:/]+?)(<=|>=|!=|=|<|>)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """KEY, one of =, !=, <, <=, >, >=, and a value, or several with commas between them for = and !=.

    A value may have * for any text. Numbers are equal if their values are: 0.10 and 1e-1, also in lists. A time is
    equal to a day, month or year that it is in.
    """

    key: str
    sign: str
    value: str

    @classmethod
    def parse(cls, word: str) -> "Filter | None":
        """Return the filter that `word` is; None if it is none, but the name of a folder."""
        match = _FILTER.fullmatch(word)
        return None if match is None or not match[3] else cls(*match.groups())

    def __str__(self) -> str:
        return f"{self.key}{self.sign}{self.value}"

    def accepts(self, value: Any) -> bool:
        """Return whether a value of the key passes. None, where a run does not have the key, passes only !=."""
        if self.key == "when":
            return self._accepts_time(str(value))
        if self.sign in _ORDERS:
            limit, number = _number(self.value), _number(value)
            return limit is not None and number is not None and _ORDERS[self.sign](number, limit)
        values = (cast("tuple[Any, ...]", value) or (None,)) if isinstance(value, tuple) else (value,)  # tags
        is_equal = any(_equals(one, wanted) for one in values for wanted in _split(self.value))
        return is_equal == (self.sign == "=")

    def _accepts_time(self, when: str) -> bool:
        """Return whether a time passes, whose text is in the order of time; "" is an unknown one."""
        if self.sign in _ORDERS:
            limit = self.value.replace("T", " ")
            return bool(when) and _ORDERS[self.sign](when[: len(limit)], limit)
        wanted = [word.replace("T", " ") if _WHEN.fullmatch(word) else word for word in _split(self.value)]
        is_equal = any(_equals(when or None, word) or (bool(word) and when.startswith(word)) for word in wanted)
        return is_equal == (self.sign == "=")


def apply_filters(lines: Sequence[Listed], filters: Iterable[Filter]) -> list[Listed]:
    """Return the runs that pass every filter.

    Raises:
        ConfigError: A key is none of the runs', or a value that is compared by size is no number.
    """
    if not lines:
        return []
    known = known_keys(lines)
    kept = list(lines)
    for one in filters:
        read = _reader(one, known)
        kept = [line for line in kept if one.accepts(read(line))]
    return kept


def known_keys(lines: Iterable[Listed]) -> dict[str, None]:
    """Return every key that a filter of these runs can have: own ones, groups, metrics, and keys of the config."""
    lines = list(lines)
    of_metrics = (name for line in lines for name in line.metrics)
    of_config = (key for line in lines for key in line.config)
    return dict.fromkeys([*OWN_KEYS, *(key for line in lines for key in line.choices), *of_metrics, *of_config])


def _reader(one: Filter, known: dict[str, None]) -> Callable[[Listed], Any]:
    """Return what reads the value of the filter's key from a run."""
    names = {name: key for key, name in short_names(known, known).items()}
    key = one.key if one.key in known else names.get(one.key)
    if key is None:
        raise _unknown_key(one, known)
    if one.sign in _ORDERS and key == "when" and _WHEN.fullmatch(one.value) is None:
        what = f"{one}: {one.sign} compares dates, and {one.value} is none"
        raise ConfigError(what, shlex.quote(f"{one.key}{one.sign}2026-11-01"), key=one.key)
    if one.sign in _ORDERS and key != "when" and _number(one.value) is None:
        what = f"{one}: {one.sign} compares numbers, and {one.value} is none"
        raise ConfigError(what, shlex.quote(f"{one.key}={one.value}"), key=one.key)
    if key in OWN_KEYS:
        return OWN_KEYS[key]
    if "/" in key:
        return lambda line: line.metrics.get(key)
    return lambda line: settings_of(line).get(key)


def _unknown_key(one: Filter, known: dict[str, None]) -> ConfigError:
    same = [key for key in known if one.key in (key.rpartition(".")[2], key.partition("/")[0])]
    near = next(iter(same), None) or nearest(one.key, known)
    names = [key for key in known if not key.endswith("_target_")]
    problem = f"{one.key} is {' or '.join(same)}" if same else f"no run has the key {one.key}"
    fix = shlex.quote(f"{near}{one.sign}{one.value}") if near else "a filter by one of these keys"
    return ConfigError(f"{one}: {problem} (available: {', '.join(same or names)})", fix, key=one.key)


def _equals(value: Any, wanted: str) -> bool:
    if value is None:
        return wanted in ("null", "")
    limit, number = _number(wanted), _number(value)
    if limit is not None and number is not None:
        return limit == number or (math.isnan(limit) and math.isnan(number))
    text = as_yaml(value)
    if "*" in wanted:
        return fnmatchcase(text, wanted.replace("[", "[[]"))
    if text in (wanted, wanted.replace(" ", "")):
        return True
    return type(value) in (list, dict, bool) and _is_typed_as(value, wanted)


def _is_typed_as(value: object, wanted: str) -> bool:
    """Return whether an override sets a key to `value` by typing `wanted`: [.5,1e-1], False."""
    typed = _read(wanted)
    return type(typed) is type(value) and typed == value


@cache
def _read(wanted: str) -> object:
    return reads_as(wanted)


def _split(text: str) -> list[str]:
    """Return the values between commas; a list in brackets is one value."""
    values, depth = [""], 0
    for mark in text:
        depth += (mark in "[{") - (mark in "]}")
        if mark == "," and depth <= 0:
            values.append("")
        else:
            values[-1] += mark
    return values


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
