"""Sets of values that a key may have: what they accept, and how an error message or a JSON Schema states them."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any, cast

from exp.errors import as_yaml


@dataclass(frozen=True)
class Number:
    """Numbers from `low` to `high`, both included unless open."""

    low: float
    high: float = math.inf
    whole: bool = False
    open_low: bool = False
    open_high: bool = False
    null: bool = False
    auto: bool = False
    many: bool = False  # or a list of such numbers
    length: int | None = None  # only a list of this length
    at_most: bool = False  # or a text such as <=256

    def accepts(self, value: object) -> bool:
        if value is None:
            return self.null
        if value == "auto":
            return self.auto
        if self.at_most and isinstance(value, str):
            return parse_at_most(value) is not None
        if self.length is not None and not (
            isinstance(value, list) and len(cast("list[object]", value)) == self.length
        ):
            return False
        if (self.many or self.length is not None) and isinstance(value, list):
            one = replace(self, length=None, many=False, null=False, auto=False, at_most=False)
            return all(one.accepts(item) for item in cast("list[object]", value))
        if (
            isinstance(value, bool)
            or not isinstance(value, int if self.whole else int | float)
            or not math.isfinite(value)
        ):
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        kind = "an integer" if self.whole else "a number"
        low = f"{'>' if self.open_low else '>='} {self.low:g}"
        high = "" if math.isinf(self.high) else f" and {'<' if self.open_high else '<='} {self.high}"
        if self.length is not None:
            return f"a list of {self.length}, each {kind} {low}{high}"
        others = {"a list of them": self.many, "null": self.null, "auto": self.auto, '"<=N"': self.at_most}
        return f"{kind} {low}{high}{''.join(f', or {other}' for other, allowed in others.items() if allowed)}"

    def json_schema(self) -> dict[str, Any]:
        one: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        one["exclusiveMinimum" if self.open_low else "minimum"] = self.low
        if not math.isinf(self.high):
            one["exclusiveMaximum" if self.open_high else "maximum"] = self.high
        if self.length is not None:
            return {"type": "array", "items": one, "minItems": self.length, "maxItems": self.length}
        others: list[tuple[bool, dict[str, Any]]] = [
            (self.many, {"type": "array", "items": one}),
            (self.null, {"type": "null"}),
            (self.auto, {"const": "auto"}),
            (self.at_most, {"type": "string", "pattern": "^<=[1-9][0-9]*$"}),
        ]
        return any_of(one, *(other for allowed, other in others if allowed))


def any_of(first: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of values that one of the schemas accepts."""
    return {"anyOf": [first, *others]} if others else first


def parse_at_most(value: object) -> int | None:
    """Return the number of a text such as <=256; None if `value` is no such text."""
    match = re.fullmatch(r"<=([1-9]\d*)", value) if isinstance(value, str) else None
    return None if match is None else int(match[1])


@dataclass(frozen=True)
class OneOf:
    options: tuple[object, ...]

    def accepts(self, value: object) -> bool:
        return any(value is option or (isinstance(option, str) and value == option) for option in self.options)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(as_yaml, self.options))

    def json_schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Text:
    pattern: re.Pattern[str]
    meaning: str
    many: bool = False  # or a list of such texts

    def accepts(self, value: object) -> bool:
        if self.many and isinstance(value, list):
            return all(replace(self, many=False).accepts(item) for item in cast("list[object]", value))
        return isinstance(value, str) and self.pattern.fullmatch(value) is not None

    def __str__(self) -> str:
        return self.meaning

    def json_schema(self) -> dict[str, Any]:
        one = {"type": "string", "pattern": f"^({self.pattern.pattern})$"}
        return any_of(one, {"type": "array", "items": one}) if self.many else one


def _numbers(values: list[object]) -> list[float]:
    """Return the values if all of them are numbers >= 0, otherwise none."""
    are_numbers = all(Number(0).accepts(value) for value in values)
    return cast("list[float]", values) if are_numbers else []


@dataclass(frozen=True)
class ThreeParts:
    """How a table is split; whether counts sum to its rows is checked when it is read."""

    def accepts(self, value: object) -> bool:
        if not isinstance(value, list):
            return value is None
        parts = _numbers(cast("list[object]", value))
        are_counts = all(isinstance(part, int) for part in parts)
        return len(parts) == 3 and parts[0] > 0 and (are_counts or abs(sum(parts) - 1) <= 1e-6)

    def closest(self, value: object) -> str | None:
        """Return the fractions that two or three given ones mean, as they are typed; None if that is not clear."""
        parts = _numbers(cast("list[object]", value)) if isinstance(value, list) else []
        test = 1 - sum(parts)
        if len(parts) == 2 and parts[0] > 0 and test >= -1e-6:
            return as_yaml([*parts, abs(round(test, 6)) or 0])
        train = round(1 - sum(parts[1:]), 6)
        is_clear = len(parts) == 3 and parts[0] > 0 and train > 0 and sum(parts) <= 1
        return as_yaml([train, *parts[1:]]) if is_clear else None

    def __str__(self) -> str:
        return "three fractions that sum to 1, or three counts that sum to the number of rows, the first > 0, or null"

    def json_schema(self) -> dict[str, Any]:
        parts = {"type": "array", "items": Number(0).json_schema(), "minItems": 3, "maxItems": 3}
        return any_of(parts, {"type": "null"})


@dataclass(frozen=True)
class OneOfEach:
    """One of the options, or a mapping with one of them, or with a `number`, for each name."""

    options: tuple[object, ...]
    example: str  # such as "column: '{age: drop}'"
    number: Number | None = None
    lists: bool = False  # or a list of such numbers

    def accepts(self, value: object) -> bool:
        if self.lists and self.number is not None and isinstance(value, list):
            return all(self.number.accepts(item) for item in cast("list[object]", value))
        if isinstance(value, dict):
            limit = self.number or OneOf(self.options)
            return all(limit.accepts(item) for item in cast("dict[object, object]", value).values())
        return OneOf(self.options).accepts(value)

    def __str__(self) -> str:
        return f"{OneOf(self.options)}, or {self.number or 'one'} for each {self.example}"

    def json_schema(self) -> dict[str, Any]:
        of_each = (self.number or OneOf(self.options)).json_schema()
        by_name = {"type": "object", "additionalProperties": of_each}
        in_order = {"type": "array", "items": of_each}
        return any_of(OneOf(self.options).json_schema(), by_name, *([in_order] if self.lists else []))
