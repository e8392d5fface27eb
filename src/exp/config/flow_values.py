"""Lists and mappings that Hydra's grammar cannot read as they are typed: names with brackets, quotes or other letters.

Hydra has no quotes for the keys of a mapping, takes `Age (yrs)` for a call of a function, and knows ASCII letters only.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

from exp.config.overrides import parse_override, reads_as
from exp.config.yaml_overrides import text_of

_CLOSING = {"[": "]", "{": "}", "(": ")"}

# What Hydra calls in a value; another word before a bracket is a name.
_FUNCTIONS = "choice|range|interval|glob|sort|shuffle|tag|extend_list|int|float|str|bool|json_str"


class UnclearError(ValueError):
    """A text that is no list and no mapping, or could be several."""


def readable(word: str) -> str:
    """Return an override as Hydra reads it, if its value is a list or a mapping that Hydra cannot read as it is typed.

    Several values of a sweep are read one by one. A word whose meaning is not clear is returned as it is.
    """
    key, _, value = word.partition("=")
    if value[:1] not in ("[", "{") or "${" in value or parse_override(word) is not None:
        return word
    with suppress(UnclearError):
        return f"{key}={','.join(_readable_value(one) for one in _split(value))}"
    return word


def read_flow(value: str) -> object:
    """Return the list, the mapping or the single value that a text means. UnclearError if that is not clear.

    A name may have balanced brackets, and the mapping a name with commas. A text in quotes is that text.
    """
    value = value.strip()
    if value[:1] in ("[", "{"):
        if value[-1] != _CLOSING[value[0]]:
            raise UnclearError(value)
        inside = [one.strip() for one in _split(value[1:-1])]
        items = inside[: len(inside) - (inside[-1] == "")]  # nothing, or a comma at the end
        return [read_flow(item) for item in items] if value[0] == "[" else dict(map(_read_pair, items))
    if re.match(rf"({_FUNCTIONS})\(", value) or not value:
        raise UnclearError(value)
    if (quoted := _unquoted(value)) is not None:
        return quoted
    if value[0] in "'\"":
        raise UnclearError(value)
    return None if value.lower() == "null" else _plain(value)


def _readable_value(value: str) -> str:
    return value if parse_override(f"key={value}") is not None else text_of(read_flow(value))


def _read_pair(item: str) -> tuple[object, object]:
    """Return the name and the value of an item of a mapping: what is before the last colon, and what is behind it."""
    places = [place for place in _outside(item) if item[place] == ":" and item[place + 1 : place + 2] in ("", " ")]
    places = places or [place for place in _outside(item) if item[place] == ":"]
    if not places:
        raise UnclearError(item)
    name, value = item[: places[-1]].strip(), item[places[-1] + 1 :]
    key = read_flow(name) if name[:1] not in ("[", "{") else name
    is_key = isinstance(key, str | int) and not isinstance(key, bool)
    return key if is_key else name, read_flow(value)


def _plain(text: str) -> object:
    """Return a number or a Boolean, or the text without the backslashes that Hydra takes off."""
    read = reads_as(text)
    return read if isinstance(read, bool | int | float | str) else re.sub(r"\\([\\()\[\]{}:=, ])", r"\1", text)


def _unquoted(value: str) -> str | None:
    """Return the text in quotes; None for another text."""
    quote = value[0]
    if quote not in "'\"" or not re.fullmatch(rf"{quote}(\\.|[^\\{quote}])*{quote}", value, re.DOTALL):
        return None
    read = reads_as(value)
    return read if isinstance(read, str) else None


def _split(text: str) -> list[str]:
    """Return what is between the commas that are outside of quotes and brackets."""
    commas = [place for place in _outside(text) if text[place] == ","]
    return [text[a + 1 : b] for a, b in zip([-1, *commas], [*commas, len(text)], strict=True)]


def _outside(text: str) -> Iterator[int]:
    """Yield the places of the characters outside of quotes and brackets. UnclearError if a bracket has no partner.

    A quote begins where a text begins: behind a bracket, a comma, a colon or a blank before the text. In it's there is
    none.
    """
    closing: list[str] = []
    quote, before, place = "", "", 0
    while place < len(text):
        mark = text[place]
        if mark == "\\" and place + 1 < len(text):
            before, place = mark, place + 2
            continue
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"" and before in ("", ",", ":", "[", "{"):
            quote = mark
        elif mark in _CLOSING:
            closing.append(_CLOSING[mark])
        elif closing and mark == closing[-1]:
            closing.pop()
        elif mark in _CLOSING.values():
            raise UnclearError(text)
        elif not closing:
            yield place
        before = mark if not mark.isspace() else before
        place += 1
    if quote or closing:
        raise UnclearError(text)
