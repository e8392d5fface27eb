"""The commands other than training: functions whose signature defines their KEY=VALUE arguments.

`exp predict ...` calls `exp.predict.predict`. Its docstring is the command's help: the line that begins with
`python -m exp` shows every required argument, and `Args:` has a clause for each.
"""

import errno
import importlib
import os
import shlex
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from inspect import Parameter
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from exp.cli.answer import Answer, as_json, error_fields
from exp.cli.command_correction import (
    ANY_NUMBER,
    FLAGS,
    RUN_KEYS,
    VALUE_FLAGS,
    correct_line,
    is_filter,
    parameters_of,
)
from exp.cli.command_help import help_of, usage_of
from exp.cli.os_errors import explain_os_error
from exp.errors import ConfigError, ExpError, display_path
from exp.training.interrupts import describe_stop, exit_code_of, raising_sigterm

# Modules of `exp` with a function of the same name.
COMMANDS = (
    *("ls", "tag", "mv", "rm", "status", "predict", "evaluate", "importance", "calibrate", "export"),
    *("best", "refit", "report", "explain", "diff", "verify", "cache", "schema", "new"),
)

Command: TypeAlias = Callable[..., Answer | None]


def load(name: str) -> Command:
    """Return the function of that command. Its module imports torch only when the function is called."""
    return getattr(importlib.import_module(f"exp.{name}"), name)


def run_command(command: Command, arguments: Sequence[str]) -> None:
    """Call `command` with what the arguments give it and print its answer, or print its help.

    Exit codes: 0, 1 after an error or as the command's docstring says, 130 after Ctrl-C, 143 after SIGTERM.
    """
    name = command.__name__
    if {"-h", "--help"} & set(arguments):
        print(help_of(command))
        return
    in_json = "--json" in arguments and "json" in parameters_of(command)
    given: dict[str, str] = {}
    try:
        positional, keywords = parse_arguments(command, arguments)
        given = {**dict(zip(parameters_of(command), positional, strict=False)), **keywords}
        keywords.pop("json", None)
        # What a library or a progress bar prints is not part of the object.
        with redirect_stdout(sys.stderr) if in_json else nullcontext(), raising_sigterm() if in_json else nullcontext():
            answer = command(*positional, **keywords)
        if answer is not None:
            lines = [as_json(name, answer.document(), answer.exit_code)] if in_json else answer.lines()
            for line in lines:
                print(line)
            if answer.exit_code:
                sys.exit(answer.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        paths = {key: str(value) for key, value in given.items()}
        _fail(name, explain_os_error(error, paths, "out" if "out" in given else "run"), in_json)
    except ExpError as error:
        _fail(name, error, in_json)
    except KeyboardInterrupt as stop:
        code = exit_code_of(stop)
        if in_json:
            print(as_json(name, error_fields(ExpError(describe_stop(stop), "type the same line again")), code))
        sys.exit(code)


def _fail(name: str, error: ExpError, in_json: bool) -> NoReturn:
    """Print an error, as the object on stdout or for people on stderr, and exit with 1."""
    if not in_json:
        sys.exit(f"exp {name}: {error}")
    print(as_json(name, error_fields(error), 1))
    sys.exit(1)


def parse_arguments(command: Command, arguments: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Parse arguments as the signature of `command` says. The folder of a run may be given without its key.

    ConfigError, with the whole line to type, if one is unknown, repeated, missing or not a number.
    """
    name, parameters = command.__name__, parameters_of(command)
    bare = [key for key, parameter in parameters.items() if parameter.kind is Parameter.POSITIONAL_ONLY]
    several = next((key for key, parameter in parameters.items() if parameter.kind is Parameter.VAR_POSITIONAL), None)
    first = next(iter(parameters), "")
    takes = " ".join(usage_of(key, parameter) for key, parameter in parameters.items())
    takes_filters = several == "filters"
    found: dict[str, Any] = {}
    folders: list[str] = []
    words = deque(arguments)
    while words:
        word = words.popleft()
        key, equals, value = word.partition("=")
        free = [key for key in parameters if key not in found]
        if word == "--version":
            raise ConfigError(f"{word}: {name} takes {takes}", "python -m exp --version")
        is_bare = not word.startswith("-") and not is_filter(word)
        if is_bare and free and free[0] in bare:
            found[free[0]] = _relative(word)
        elif several is not None and not word.startswith("-") and (is_filter(word) if takes_filters else is_bare):
            folders.append(_relative(word))
        elif not equals and first in RUN_KEYS and first in free and Path(word).is_dir():
            found[first] = _relative(word)
        elif word in FLAGS and word.removeprefix("--") in free:
            found[word.removeprefix("--")] = True
        elif key in VALUE_FLAGS and key.removeprefix("--") in free:
            found[key.removeprefix("--")] = value or _value_behind(words)
        elif key not in parameters or not equals or not value:
            raise ConfigError(f"{word}: {name} takes {takes}", correct_line(command, arguments))
        elif key in found:
            raise ConfigError(f"{key}={found[key]} {word}: {name} takes one", correct_line(command, arguments))
        else:
            found[key] = _convert(key, value, parameters[key])
    for key, parameter in parameters.items():
        if (
            parameter.default is Parameter.empty
            and key not in found
            and not (key == several and (folders or key in ANY_NUMBER))
        ):
            what = f"{name} takes {takes}" if key in bare or key == several else f"{key}= is missing"
            raise ConfigError(what, correct_line(command, arguments))
    if folders:  # which come after the others
        found = {**{key: parameters[key].default for key in bare}, **found}
    return [*(found.pop(key) for key in bare if key in found), *folders], found


def _relative(word: str) -> str:
    """Return the path of a folder or file below the current folder relative to it, and any other word as it is."""
    return str(display_path(Path(word))) if Path(word).is_absolute() else word


def _value_behind(words: "deque[str]") -> str:
    """Take the value of a flag from the words behind it; `auto` if the next one is another argument, or a folder."""
    is_value = words and not words[0].startswith("-") and not is_filter(words[0]) and not Path(words[0]).is_dir()
    return words.popleft() if is_value else "auto"


def new_file(out: str, suffix: str = "") -> Path:
    """Return the path `out` of a file to write. ConfigError if it exists, has no folder, or another suffix."""
    path = Path(out)
    if suffix and path.suffix != suffix:
        raise ConfigError(f"out={out}: must be a {suffix} file", f"out={path.with_suffix(suffix)}")
    if not path.parent.is_dir():
        raise ConfigError(f"out={out}: no folder {path.parent}", f"mkdir -p {shlex.quote(str(path.parent))}")
    if path.exists():
        raise ConfigError(f"out={out}: the file already exists", "out=ANOTHER_FILE")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), out)
    return path


def _convert(key: str, value: str, parameter: Parameter) -> Any:
    if parameter.annotation is bool:
        if value.lower() not in ("true", "false"):
            raise ConfigError(f"{key} must be one of true, false, got {value}", f"{key}=true")
        return value.lower() == "true"
    if parameter.annotation is not int:
        return _relative(value)
    if not value.isdecimal():
        raise ConfigError(f"{key} must be an integer >= 0, got {value}", f"{key}={parameter.default}")
    return int(value)
