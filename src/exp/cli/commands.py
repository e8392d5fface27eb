"""The commands other than training: functions whose signature defines their KEY=VALUE arguments.

`exp predict ...` calls `exp.predict.predict`. Its docstring is the command's help: the line that begins with
`python -m exp` shows every required argument, and `Args:` has a clause for each.
"""

import errno
import importlib
import inspect
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, TypeAlias

from exp.cli.command_correction import FLAGS, RUN_KEYS, correct_line, example_words, parameters_of
from exp.cli.os_errors import explain_os_error
from exp.data.input_files import DATA_PATHS
from exp.errors import ConfigError, ExpError, as_yaml
from exp.training.interrupts import Terminated

# Modules of `exp` with a function of the same name.
COMMANDS = (
    *("status", "predict", "evaluate", "importance", "calibrate", "export"),
    *("best", "refit", "report", "diff", "verify", "cache"),
)

Command: TypeAlias = Callable[..., None]


def load(name: str) -> Command:
    """Return the function of that command. Its module imports torch only when the function is called."""
    return getattr(importlib.import_module(f"exp.{name}"), name)


def run_command(command: Command, arguments: Sequence[str]) -> None:
    """Call `command` with what the arguments give it, or print its help.

    Exit codes: 0, 1 after an error or as the command's docstring says, 130 after Ctrl-C, 143 after SIGTERM.
    """
    name = command.__name__
    if {"-h", "--help"} & set(arguments):
        print(help_of(command))
        return
    given: dict[str, str] = {}
    try:
        positional, keywords = parse_arguments(command, arguments)
        given = {**dict(zip(parameters_of(command), positional, strict=False)), **keywords}
        command(*positional, **keywords)
    except BrokenPipeError:
        raise
    except OSError as error:
        paths = {key: str(value) for key, value in given.items()}
        sys.exit(f"exp {name}: {explain_os_error(error, paths, 'out' if 'out' in given else 'run')}")
    except ExpError as error:
        sys.exit(f"exp {name}: {error}")
    except KeyboardInterrupt as error:
        sys.exit(143 if isinstance(error, Terminated) else 130)


def parse_arguments(command: Command, arguments: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Parse arguments as the signature of `command` says. The folder of a run may be given without its key.

    ConfigError, with the whole line to type, if one is unknown, repeated, missing or not a number.
    """
    name, parameters = command.__name__, parameters_of(command)
    bare = [key for key, parameter in parameters.items() if parameter.kind is Parameter.POSITIONAL_ONLY]
    several = next((key for key, parameter in parameters.items() if parameter.kind is Parameter.VAR_POSITIONAL), None)
    first = next(iter(parameters), "")
    takes = " ".join(_usage(key, parameter) for key, parameter in parameters.items())
    found: dict[str, Any] = {}
    folders: list[str] = []
    for word in arguments:
        key, equals, value = word.partition("=")
        free = [key for key in parameters if key not in found]
        if word == "--version":
            raise ConfigError(f"{word}: {name} takes {takes}", "python -m exp --version")
        if several is not None and not word.startswith("-") and (not equals or Path(word).exists()):
            folders.append(word)
        elif not equals and free and free[0] in bare and not word.startswith("-"):
            found[free[0]] = word
        elif not equals and first in RUN_KEYS and first in free and Path(word).is_dir():
            found[first] = word
        elif word in FLAGS and word.removeprefix("--") in free:
            found[word.removeprefix("--")] = True
        elif key not in parameters or not equals or not value:
            raise ConfigError(f"{word}: {name} takes {takes}", correct_line(command, arguments))
        elif key in found:
            raise ConfigError(f"{key}={found[key]} {word}: {name} takes one", correct_line(command, arguments))
        else:
            found[key] = _convert(key, value, parameters[key])
    for key, parameter in parameters.items():
        if parameter.default is Parameter.empty and key not in found and not (key == several and folders):
            what = f"{name} takes {takes}" if key in bare or key == several else f"{key}= is missing"
            raise ConfigError(what, correct_line(command, arguments))
    return [*(found.pop(key) for key in bare if key in found), *folders], found


def _usage(key: str, parameter: Parameter) -> str:
    """Return how an argument is written: RUN, [ACTION], FOLDER..., --json or split=."""
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return f"{key.upper().removesuffix('S')}..."
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        return key.upper() if parameter.default is Parameter.empty else f"[{key.upper()}]"
    return f"--{key}" if f"--{key}" in FLAGS else f"{key}="


def help_of(command: Command) -> str:
    """Return the help: usage, what the command does, and its arguments."""
    parameters = parameters_of(command)
    examples = {word.partition("=")[0]: word for word in example_words(command)}
    words = [
        _usage(key, parameter)
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
        else f"[--{key}]"
        if f"--{key}" in FLAGS
        else examples.get(key, f"{key}=FOLDER")
        if parameter.default is Parameter.empty
        else f"[{key}={as_yaml(parameter.default) if parameter.default is not None else 'VALUE'}]"
        for key, parameter in parameters.items()
        if key not in DATA_PATHS[1:]  # the clause of the first one has them
    ]
    text, _, _ = (inspect.getdoc(command) or "").partition("\nArgs:")
    text = re.sub(r"\n+ *python -m exp .*\n?", "\n", text).strip()
    text = "\n\n".join(textwrap.fill(paragraph, 100) for paragraph in text.split("\n\n"))
    clauses = [
        textwrap.fill(f"  {f'--{key}' if f'--{key}' in FLAGS else key:<11} {clause}", 100, subsequent_indent=" " * 14)
        for key, clause in argument_clauses(command).items()
    ]
    usage = textwrap.fill(
        f"usage: python -m exp {command.__name__} {' '.join(words)}",
        100,
        subsequent_indent=" " * 11,
        break_on_hyphens=False,
    )
    return "\n".join([usage, "", text, "", *clauses])


def argument_clauses(command: Command) -> dict[str, str]:
    """Return what the docstring's `Args:` says of each argument."""
    _, _, section = (inspect.getdoc(command) or "").partition("\nArgs:\n")
    section = section.partition("\n\n")[0]
    return {key: " ".join(text.split()) for key, text in re.findall(r"^ +([\w.]+): (.+(?:\n {6,}.+)*)", section, re.M)}


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
        return value
    if not value.isdecimal():
        raise ConfigError(f"{key} must be an integer >= 0, got {value}", f"{key}={parameter.default}")
    return int(value)
