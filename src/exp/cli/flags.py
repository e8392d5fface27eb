"""Check the arguments of `exp` before Hydra parses them: flags, keys that are given as flags, and repeated keys."""

import difflib
import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from exp.cli.command_correction import correct_line
from exp.cli.commands import COMMANDS, load
from exp.cli.typed_keys import check_repeated, check_sweeper_params, without_repeated
from exp.config.compose import flags_with_value
from exp.config.constraints import CONSTRAINTS
from exp.config.nearest_names import nearest
from exp.config.overrides import shell_line, text_override
from exp.errors import ConfigError
from exp.results.run_folder import is_run, is_sweep

if TYPE_CHECKING:
    from exp.cli.command_line import CommandLine

_OTHER_FLAGS = {"-V": "--version", "-v": "--version", "--sweep": "-m", "-help": "--help"}

# The values that a flag takes, where not any will do. The first one is suggested.
_VALUES = {
    ("-c", "--cfg"): ("job", "hydra", "all"),
    ("-i", "--info"): ("config", "all", "defaults", "defaults-tree", "plugins", "searchpath"),
    ("-cd", "--config-dir"): ("FOLDER",),
}


def check_arguments(arguments: Sequence[str], line: "CommandLine") -> None:
    """Raise ConfigError, with the line that was meant, for unknown flags, keys without a value, and repeated keys.

    Args:
        line: Those of the arguments that are KEY=VALUE.
    """
    _check_letters(arguments)
    _check_flags(arguments)
    _check_words_of_run(arguments)
    _check_brackets(arguments)
    _check_spaces(arguments)
    _check_groups(arguments, line)
    words, problem = _join(arguments, line)
    if problem is not None:
        words = without_repeated(words)
        raise ConfigError(problem, words[0] if len(words) == len(arguments) == 1 else shell_line(words))
    check_repeated(arguments)
    check_sweeper_params(arguments)


def _check_letters(arguments: Sequence[str]) -> None:
    """Raise ConfigError for bytes that are not UTF-8, which no file of a run can hold; also in the current folder."""
    places = dict.fromkeys(arguments, "a name in UTF-8")
    with suppress(OSError):  # the current folder was removed
        places[os.getcwd()] = "another folder, or rename this one: its files could not be read again"
    for text, fix in places.items():
        shown = text.encode(errors="backslashreplace").decode()
        if shown != text:
            name = shown.replace("\\udc", "\\x")  # as a shell shows the byte
            raise ConfigError(f"{name}: this name is not in UTF-8", fix)


def _check_words_of_run(arguments: Sequence[str]) -> None:
    """Raise ConfigError for `exp notes RUN TEXT` and `exp name RUN TEXT`, which are `exp tag`."""
    word, folder, *text = [*arguments, "", ""][: max(3, len(arguments))]
    key = {"notes": "notes", "note": "notes", "name": "name"}.get(word)
    if key is not None and (is_run(Path(folder)) or is_sweep(Path(folder))):
        line = shell_line(["tag", folder, f"{key}={' '.join(text).strip() or 'TEXT'}"])
        raise ConfigError(f"{word}: unknown command; exp tag changes the {key} of a run", line)


def values_of(flag: str) -> tuple[str, ...]:
    """Return the values that a flag takes; (FOLDER,) or (VALUE,) for those that take any."""
    return next((values for flags, values in _VALUES.items() if flag in flags), ("VALUE",))


def _check_flags(arguments: Sequence[str]) -> None:
    takes_value = flags_with_value()
    for place, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        if flag not in takes_value:
            continue
        behind = arguments[place + 1] if place + 1 < len(arguments) else ""
        value = value or ("" if behind.startswith("-") else behind)
        values = values_of(flag)
        is_optional = not takes_value[flag] and (value == "" or "=" in value)
        if takes_value[flag] and not value:
            raise ConfigError(f"{flag} needs a value", shell_line([*arguments[:place], flag, values[0]]))
        if values[1:] and value not in values and not is_optional:
            what = f"{flag} must be one of {', '.join(values)}, got {value}"
            rest = arguments[place + 1 :] if equals or "=" in behind else arguments[place + 2 :]
            meant = nearest(value, values) or values[0]
            raise ConfigError(what, shell_line([*arguments[:place], flag, meant, *rest]))
        if equals and not takes_value[flag] and not values[1:]:
            raise ConfigError(
                f"{word}: {flag} takes no value", shell_line([*arguments[:place], flag, *arguments[place + 1 :]])
            )
    given = {word.partition("=")[0] for word in arguments}
    if "--version" in given and len(arguments) > 1:
        other = next(word for word in arguments if word != "--version")
        raise ConfigError(f"{other}: --version takes no other arguments", "python -m exp --version")
    if {"-p", "--package"} & given and not {"-c", "--cfg", "-h", "--help"} & given:
        raise ConfigError("--package needs --cfg", shell_line(["--cfg", "job", *arguments]))


def _check_brackets(arguments: Sequence[str]) -> None:
    """Raise ConfigError if a list with spaces was typed without quotes: model.hidden=[64, 64] is two arguments."""
    for start, word in enumerate(arguments):
        if word.count("[") > word.count("]"):
            parts = list(accumulate(arguments[start:], lambda text, part: f"{text} {part}"))
            if (whole := next((text for text in parts if text.count("[") == text.count("]")), None)) is not None:
                raise ConfigError(f"{whole}: a list with spaces needs quotes", shlex.quote(whole.replace(", ", ",")))


def _check_spaces(arguments: Sequence[str]) -> None:
    """Raise ConfigError for values that a space separates: batching=full, online, or a path with a space in it."""
    for place, word in enumerate(arguments[:-1]):
        following = arguments[place + 1]
        key, equals, value = word.partition("=")
        if not equals or "=" in following or following.startswith("-"):
            continue
        if value.endswith(",") or following.startswith(","):
            end = place + 1
            while end < len(arguments) and "=" not in arguments[end] and not arguments[end].startswith("-"):
                end += 1
            joined = re.sub(",+", ",", ",".join(arguments[place:end])).rstrip(",")
            what = f"{' '.join(arguments[place:end])}: values are separated by a comma without a space"
            raise ConfigError(what, shell_line([*arguments[:place], joined, *arguments[end:]]))
        path = f"{value} {following}"
        if not Path(value).exists() and Path(path).exists():
            words = [*arguments[:place], text_override(key, path), *arguments[place + 2 :]]
            raise ConfigError(f"{word} {following}: a path with a space needs quotes", shell_line(words))


def _check_groups(arguments: Sequence[str], line: "CommandLine") -> None:
    """Raise ConfigError for a list as the value of a group: dataset=[cancer]."""
    for place, word in enumerate(arguments):
        group, _, value = word.partition("=")
        if value.startswith("[") and group in line.groups:
            options = [option.strip() for option in value.strip("[]").split(",")]
            words = [*arguments[:place], f"{group}={','.join(options)}", *arguments[place + 1 :]]
            flag = ["-m"] if options[1:] and not {"-m", "--multirun"} & {*arguments} else []
            raise ConfigError(f"{word}: {group} is one of its options, not a list", shell_line([*flag, *words]))


def _join(arguments: Sequence[str], line: "CommandLine") -> tuple[list[str], str | None]:
    """Return the arguments with each key joined to its value, and the first problem: --epochs 5, epochs = 5, epochs 5.

    ConfigError for a flag that is neither known nor a key.
    """
    takes_value = flags_with_value()
    words: list[str] = []
    problem: str | None = None
    place = 0
    while place < len(arguments):
        word, following = arguments[place], arguments[place + 1] if place + 1 < len(arguments) else ""
        place += 1
        is_flag = re.match(r"--?\w", word) is not None
        if word.partition("=")[0] in takes_value:
            words.append(word)
            if (takes_value[word] if "=" not in word else False) or following in values_of(word):
                words.append(following)
                place += 1
        elif following.startswith("=") and "=" not in word:
            value = following[1:] or (arguments[place + 1] if place + 1 < len(arguments) else "VALUE")
            place += 1 if following != "=" else 2
            words.append(f"{word.lstrip('-')}={value}")
            problem = problem or "spaces around ="
        elif word.startswith("="):
            raise ConfigError(f"{word}: there is no key before =", f"KEY{word if word != '=' else '=VALUE'}")
        elif re.fullmatch(r"[\w./]+=", word) and _is_value(following):
            words.append(f"{word}{following}")
            place += 1
            problem = problem or "spaces around ="
        elif is_flag or ("=" not in word and _is_value(following) and _is_key(word, following, line)):
            joined, count = _key_of_flag(word, following, arguments, line) if is_flag else (None, 1)
            words.append(joined or f"{_key_like(word, line)}={following}")
            place += count
            text = word if not count else f"{word} {following}"
            problem = problem or (f"{word}: keys take no dashes" if is_flag else f"{text}: arguments must be KEY=VALUE")
        else:
            words.append(word)
    return words, problem


def _key_of_flag(word: str, following: str, arguments: Sequence[str], line: "CommandLine") -> tuple[str, int]:
    """Return what was meant by an unknown flag, and how many words behind it belong to it."""
    name, equals, value = word.lstrip("-").partition("=")
    if name in COMMANDS:
        others = [one for one in arguments if one != word]
        raise ConfigError(f"{word}: commands take no dashes", correct_line(load(name), others))
    key = _key_like(name, line)
    is_exact = key is not None and name in (key, key.rpartition(".")[2])
    near = difflib.get_close_matches(word, [flag for flag in flags_with_value() if flag.startswith("--")], 1, 0.75)
    flag = _OTHER_FLAGS.get(word) or next(iter(near), None)
    if flag is not None and not is_exact and not equals:
        raise ConfigError(f"{word}: unknown flag", shell_line(flag if one == word else one for one in arguments))
    if key is None or len(name) == 1:
        raise ConfigError(f"{word}: unknown flag", "python -m exp --help")
    if equals or not _is_value(following):
        return f"{key}={value or 'VALUE'}", 0
    return f"{key}={following}", 1


def _is_value(word: str) -> bool:
    return bool(word) and "=" not in word and (not word.startswith("-") or word[1:2].isdigit())


def _is_key(word: str, value: str, line: "CommandLine") -> bool:
    """Return whether a word is a key, and the next one its value."""
    if word in line.groups:
        return value in line.groups[word]
    is_number = re.fullmatch(r"-?[\d.]+(e-?\d+)?|\[.*\]", value) is not None
    return word in line.keys or (is_number and nearest(word, line.keys) is not None)


def _key_like(word: str, line: "CommandLine") -> str | None:
    word = word.replace("-", "_")
    return word if word in line.groups else nearest(word, [*CONSTRAINTS, *line.keys]) or nearest(word, line.groups)
