"""Overrides as text: KEY=VALUE that Hydra reads as the value that is meant, and a shell as one word."""

import re
import shlex
from collections.abc import Iterable
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException


def text_override(key: str, text: str) -> str:
    """Return the override that sets `key` to `text`, in quotes if Hydra needs them."""
    return f"{key}={quote_text(text)}"


def quote_text(text: str) -> str:
    """Return `text` as a value on the command line: in double quotes if Hydra reads it as something else without."""
    return text if reads_as(text) == text else _quote(text)


def quote_names(names: Iterable[str]) -> str:
    """Return a list of names as a value on the command line."""
    return f"[{','.join(name if reads_as(f'[{name}]') == [name] else _quote(name) for name in names)}]"


def range_override(key: str, value: str) -> str | None:
    """Return the values of a sweep that 1-3, 1..3 or 1:3 means, key=range(1,4); None for other text."""
    match = re.fullmatch(r"(\d+)(?:-|\.\.+|:)(\d+)", value)
    return f"{key}=range({match[1]},{int(match[2]) + 1})" if match and int(match[1]) < int(match[2]) else None


def reads_as(value: str) -> object:
    """Return what a key is set to by that value on the command line; None if it is no single value."""
    try:
        override = OverridesParser.create().parse_override(f"key={value}")
        return None if override.is_sweep_override() else _resolved(override)
    except (HydraException, OmegaConfBaseException):
        return None


def shell_line(words: Iterable[str]) -> str:
    """Return the command line `python -m exp` with these arguments, quoted for a shell."""
    return shlex.join(["python", "-m", "exp", *words])


def _resolved(override: Override) -> object:
    config = OmegaConf.create({"key": override.value()})
    return cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))["key"]


def _quote(text: str) -> str:
    # Backslashes are special before ${, which would refer to a key, before a quote, and at the end.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    escaped = ""
    for part in text.split('"'):
        slashes = len(part) - len(part.rstrip("\\"))
        escaped += part + "\\" * slashes + '\\"'
    return f'"{escaped[:-2]}"'
