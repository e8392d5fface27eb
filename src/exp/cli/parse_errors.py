"""Explain an argument that Hydra cannot parse."""

import re
import shlex

from exp.cli.command_line import CommandLine
from exp.cli.intent import bare_word
from exp.config.constraints import CONSTRAINTS, violation
from exp.config.flow_values import readable
from exp.config.overrides import override_key, reads_as, text_override
from exp.errors import ConfigError

_CLOSING = {"[": "]", "{": "}"}


def explain_parse_error(override: str, line: CommandLine) -> ConfigError:
    """Return the error for an override that Hydra cannot parse, with the one that was meant."""
    key, equals, value = override.partition("=")
    if colon := re.fullmatch(r"([\w.]+):([\w.]+)(=.*)?", override):
        corrected = f"{colon[1]}{'.' if colon[3] else '='}{colon[2]}{colon[3] or ''}"
        return _error(override, "arguments must be KEY=VALUE", corrected)
    if not equals:
        return _bare(override, line)
    if not re.fullmatch(r"[+~]*[\w./@:-]+", key):
        return ConfigError(f"{override}: {key!r} is not a key", "python -m exp --help, which lists the keys")
    if value.startswith("=") and value.lstrip("="):
        return _error(override, "one = only", f"{key}={value.lstrip('=')}")
    if re.fullmatch(r"\(.*\)", value):
        return _error(override, "a list needs square brackets", f"{key}=[{value[1:-1]}]")
    if (closed := _close_bracket(value)) is not None:
        read = reads_as(closed)
        if key in CONSTRAINTS and not CONSTRAINTS[key][0].accepts(read):
            return violation(key, read)
        return _error(override, f"{value[0]} without {_CLOSING[value[0]]}", f"{key}={closed}")
    if value[:1] in _CLOSING:
        return _unclear(override, key, value)
    if "=" in value and (parts := _words(override)) is not None:
        return _error(override, "these are several arguments", *parts)
    if key in CONSTRAINTS and not CONSTRAINTS[key][0].accepts(value):
        return violation(key, value)
    if value.count('"') % 2 or value.count("'") % 2:
        return _error(override, "a quote is missing", text_override(key, value.strip("'\"")))
    return _error(override, "special characters need quotes", text_override(key, value))


def _error(override: str, problem: str, *corrected: str) -> ConfigError:
    key = override_key(override)
    replacement = corrected[0] if len(corrected) == 1 else corrected
    return ConfigError(f"{override}: {problem}", shlex.join(corrected), key=key, override=replacement)


def _bare(word: str, line: CommandLine) -> ConfigError:
    owners = (f"{group}={word}" for group, options in line.groups.items() if word in options)
    if (corrected := next(owners, None)) is not None:
        return _error(word, "arguments must be KEY=VALUE", corrected)
    if (problem := bare_word(word, line)) is not None:
        return problem
    return ConfigError(f"{word}: arguments must be KEY=VALUE", "python -m exp --help, which lists the keys", key=word)


def _close_bracket(value: str) -> str | None:
    """Return the value with the bracket that is missing at its end, if it is a list or a mapping then."""
    closed = readable(f"key={value.rstrip(', ')}{_CLOSING.get(value[:1], '')}").partition("=")[2]
    return closed if value[:1] in _CLOSING and isinstance(reads_as(closed), list | dict) else None


def _unclear(override: str, key: str, value: str) -> ConfigError:
    """Return the error for a list or a mapping that could be several, or none."""
    form = '["NAME", ...]' if value[0] == "[" else '{"NAME": VALUE, ...}'
    names = re.fullmatch(r"\{([^:{}\[\]\"']+): *([\w.]+)\}", value)  # {CRP, mg/l: category}: one name, or two items
    if names is not None:
        form = f'{{"{names[1].strip()}": {names[2]}}}'
    what = f"{override}: where its names end is not clear"
    return ConfigError(what, shlex.quote(f"{key}={form}"), key=override_key(override))


def _words(override: str) -> tuple[str, ...] | None:
    """Return the overrides in one argument, if a blank or a semicolon separates them."""
    words = re.split(r"[;,]?\s+|;", override)
    are_overrides = all(re.fullmatch(r"[\w./]+=[^=]+", word) for word in words)
    return tuple(words) if len(words) > 1 and are_overrides else None
