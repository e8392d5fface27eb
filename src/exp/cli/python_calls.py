"""Calls of `train` and `sweep` from Python as command lines, and command lines in messages as such calls."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from exp.cli.commands import COMMANDS
from exp.config.constraints import CONSTRAINTS
from exp.config.nearest_names import nearest
from exp.config.overrides import quote_text, reads_as, value_override
from exp.config.python_names import python_call
from exp.config.schema import CONF
from exp.errors import ConfigError
from exp.sweeps.folds import has_all_folds


def to_overrides(function: str, overrides: tuple[str, ...], values: Mapping[str, object]) -> list[str]:
    """Return the arguments as overrides. For `sweep` a list holds the values of a key, unless the key takes a list."""
    if strange := [word for word in overrides if not isinstance(word, str)]:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{strange[0]!r} must be an override", '"dataset=cancer", or epochs=50')
    if flags := [word for word in overrides if word.startswith("-") and not word.startswith("--config-dir")]:
        others = [word for word in overrides if not word.startswith("-")]
        meant = "sweep" if {"-m", "--multirun"} & {*flags} else function
        raise ConfigError(f"{function} takes overrides, got the flag {flags[0]}", python_call(meant, others))
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    for key, value in dotted.items():
        _refuse_object(key, value)
    words = [*overrides, *(f"{key}={_as_value(function, key, value)}" for key, value in dotted.items())]
    if function == "train" and has_all_folds(words):
        raise ConfigError("folds: a cross-validation is a sweep", python_call("sweep", words), key="folds")
    return words


def _refuse_object(key: str, value: object) -> None:
    """Raise ConfigError if a value is a class, a function or an object of PyTorch, or a list with one."""
    if isinstance(value, list | tuple):
        for item in cast("Sequence[object]", value):
            _refuse_object(key, item)
        return
    named: Any = value if hasattr(value, "__qualname__") else type(value)  # a class or a function has a name of its own
    if not callable(value) and not named.__module__.startswith("torch."):  # an optimizer; torch.float32 is of torch
        return
    what = str(named.__name__) if named is value else f"an object of {named.__name__}"
    options = sorted(path.stem for path in (CONF / key).glob("*.yaml"))
    if key in ("metric", "metrics"):
        name = f"{named.__module__}.{named.__qualname__}"
        module = name.partition(".")[0]
        fix = f"{key}={[name] if key == 'metrics' else name!r} of a file of yours, which EXP_ALLOW={module} allows"
    elif options:
        near = nearest(str(named.__name__), options)
        own = f"'--config-dir=my_conf', {key}='NAME' with my_conf/{key}/NAME.yaml, which names your class"
        fix = f"{key}={near!r}; or {own}" if near else own
    else:
        fix = f"{key}=VALUE, a number or a text"
    raise ConfigError(f"{key}={what}: {key} takes a name, and no object", fix, key=key)


def _as_value(function: str, key: str, value: object) -> str:
    if isinstance(value, Path):
        return quote_text(str(value))
    value = _as_list(value)
    if function != "sweep" or not isinstance(value, range | tuple | list):
        return value_override(value)
    items = list(cast("Sequence[object]", value))
    if key in CONSTRAINTS and CONSTRAINTS[key][0].accepts(items):
        return value_override(items)
    if not items:
        raise ConfigError(f"{key}={value!r}: a sweep needs a value of each key", f"{key} with values, or without it")
    return ",".join(map(_as_choice, items))


def _as_list(value: object) -> object:
    """Return an array of numbers or words [N, ...] as lists, and everything else as it is."""
    if not hasattr(value, "dtype") or not getattr(value, "ndim", 0):
        return value
    return [_as_list(item) for item in np.asarray(value)]


def _as_choice(item: object) -> str:
    """Return one of the values of a key: a text is in quotes if its commas would make it several."""
    text = quote_text(str(item)) if isinstance(item, Path) else value_override(_as_list(item))
    return quote_text(text) if isinstance(item, str) and "," in text and reads_as(text) is None else text


def in_python(text: str) -> str:
    """Return a message with the calls of `train` and `sweep` that its command lines are."""

    def translate(match: re.Match[str]) -> str:
        try:
            words = shlex.split(match[1])
        except ValueError:  # a quoted word with a line end
            return match[0]
        if words[0] in COMMANDS or any(word.startswith("-") and word != "-m" for word in words):
            return match[0]
        return python_call("sweep" if "-m" in words else "train", [word for word in words if word != "-m"])

    return re.sub(r"python -m exp (\S*=.*|-m .*)$", translate, text, flags=re.MULTILINE)
