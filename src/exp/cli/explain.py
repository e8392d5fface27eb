"""Hydra's complaints about a command line, said so that one knows what to type. Knows no torch: that takes a second."""

import os
import re
import shlex
from pathlib import Path
from typing import Any, cast

import yaml
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from exp.config.compose import compose_config
from exp.config.constraints import CONSTRAINTS, example, fitting, of_list
from exp.config.schema import CONF, flatten
from exp.errors import ConfigError, ExpError, nearest
from exp.sweeps.jobs import OF_JOB

# What Hydra says of a YAML that does not fit in: what is wrong there, and the key.
_IN_FILE = re.compile(r"In '[\w/]+': \w+ raised while composing config:\s*(.+?)\s*full_key: ([\w.]+)", re.DOTALL)


def explain(error: Exception, arguments: list[str]) -> ExpError:
    """What was wrong with the command line `arguments`, and what to type; an ExpError already says so.

    Where `error` is of one job of a sweep, it is told of which.
    """
    job = next((note for note in getattr(error, "__notes__", ()) if note.startswith(OF_JOB)), None)
    if job is None:
        return _explain(error, arguments)
    folder = get_args_parser().parse_args(arguments).config_dir
    mistake = _explain(
        error, [*shlex.split(job.removeprefix(OF_JOB)), *(["--config-dir", folder] if folder is not None else [])]
    )
    return ConfigError(f"{mistake.problem} ({job})", mistake.fix)


def _explain(error: Exception, arguments: list[str]) -> ExpError:
    if isinstance(error, ExpError):
        return error
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        key = "hydra.sweep.dir" if {"-m", "--multirun"} & set(arguments) else "hydra.run.dir"
        return ConfigError(str(error), f"another folder: {key}=FOLDER")
    typed = get_args_parser().parse_args(arguments)
    line = CommandLine(typed.overrides, typed.config_dir)
    message = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = list(error.options)
        return ConfigError(
            f"{group}={option}: there is no such {group}; there are {', '.join(options)}",
            line.instead(group, option, options),
        )
    if "Config group override must be a string" in message:
        return _no_option(line)
    if isinstance(error, OverrideParseException):
        return _unreadable(error, line)
    if ambiguous := re.search(r"Ambiguous value for argument '(.+?)'", message):
        name, _, values = ambiguous[1].partition("=")
        if meant := of_list(name, values.split(",")):
            return ConfigError(f"{ambiguous[1]}: a list stands in brackets, and a comma is no decimal point", meant)
        return ConfigError(
            f"{ambiguous[1]}: several values need a sweep, one run for each",
            f"python -m exp -m {shlex.join(arguments)}",
        )
    unknown = re.search(r"Could not (?:override|delete from config\.) '(.+?)'", message)
    if unknown and (isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError) or "delete" in message):
        return _unknown_key(unknown[1], line)
    if appended := re.search(r"Could not append to config\. An item is already at '(.+?)'", message):
        return ConfigError(f"+{appended[1]}: the key is there already, + only adds new ones", f"{appended[1]}=VALUE")
    if merged := re.search(r"Error merging override (.+)", message):
        return wrong_value(merged[1], error)
    if absent := re.search(r"Additional config directory '(.+?)' not found", message):
        return ConfigError(
            f"--config-dir {absent[1]}: there is no such folder", "--config-dir with a folder of YAML files"
        )
    if inside := re.match(
        r"In '[\w/]+': \w+ raised while composing config:\s*(.+?)\s*full_key: ([\w.]+)", message, re.DOTALL
    ):
        return _wrong_in_file(inside[1], inside[2], line)
    if "does not support sweep type" in message:
        return ConfigError(
            "interval(...) is for a search, which chooses values in it", "hydra/sweeper=optuna beside it"
        )
    if repeated := re.search(r"Multiple values for ([\w/]+)", message):
        return ConfigError(
            f"{repeated[1]} is chosen by + although it is among the choices already", f"{repeated[1]}=OPTION without +"
        )
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        return ConfigError(f"a YAML cannot be read: {' '.join(message.split())}", "mend that line")
    lines = [text for text in message.splitlines() if text and "To append to your config" not in text]
    if isinstance(error.__cause__, OmegaConfBaseException):
        lines.append(str(error.__cause__).splitlines()[0])
    return ConfigError(" ".join(lines) or type(error).__name__, "python -m exp --help")


class CommandLine:
    """What was typed, and what could have been."""

    def __init__(self, overrides: list[str], config_dir: str | None) -> None:
        self.overrides = overrides
        self._config_dir = config_dir

    @property
    def search(self) -> list[str]:
        """What makes `compose` look into the user's own folder too."""
        return [f"hydra.searchpath=[file://{os.path.abspath(self._config_dir)}]"] if self._config_dir else []

    def override_of(self, key: str) -> str:
        """The override of that key as it was typed."""
        typed = (text for text in self.overrides if text.lstrip("+~").partition("=")[0].partition("@")[0] == key)
        return next(typed, key)

    def groups(self) -> dict[str, dict[str, Path]]:
        """Every group of ours and the user's, with the file of each of its options."""
        groups: dict[str, dict[str, Path]] = {}
        for folder in [CONF, *([Path(self._config_dir)] if self._config_dir else [])]:
            for path in sorted(folder.glob("[!_.]*/*.yaml")):
                if path.parent.name != "hydra":
                    groups.setdefault(path.parent.name, {})[path.stem] = path
        return groups

    def chosen_files(self) -> list[Path]:
        """The files of the options chosen on this line; those that set keys of other groups first."""
        groups = self.groups()
        pairs = [text.partition("=")[::2] for text in self.overrides]
        found = [groups[group][option] for group, option in pairs if option in groups.get(group, {})]
        return sorted(found, key=lambda path: path.parent.name != "experiment")

    def instead(self, group: str, value: str, options: list[str]) -> str:
        """What to type where `value` is no option of that group: the nearest, or the key in it that was meant."""
        near = nearest(value, options) if ":" not in value else None
        inside = [key for key in self.keys() if key.startswith(f"{group}.")]
        key = inside[0] if len(inside) == 1 else fitting(value, inside)
        if near is None and key is not None:
            return f"{key}={value}"
        return f"{group}={near}" if near else f"another {group}, one of these"

    def keys(self) -> list[str]:
        """Every key of the config that the choices on this line compose, or of the default config if they cannot."""
        pairs = ((text, *text.partition("=")[::2]) for text in self.overrides)
        groups = self.groups()
        chosen = [text for text, group, value in pairs if value in groups.get(group, {})]
        try:
            cfg = compose_config([*chosen, *self.search])
        except Exception:  # a mistake of its own, which is told in its turn
            cfg = compose_config([])
        content = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False))
        return [key for key in flatten(content) if not key.rpartition(".")[2].startswith("_")]


def _unknown_key(key: str, line: CommandLine) -> ConfigError:
    typed = line.override_of(key)
    sign = typed[: len(typed) - len(typed.lstrip("+~"))]
    _, equals, value = typed.partition("=")
    groups, keys = line.groups(), line.keys()
    inside, _, last = key.rpartition(".")
    siblings = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == inside]
    if inside in groups:
        known = f"{inside} has {', '.join(siblings) or 'none'} here"
    else:
        top = dict.fromkeys([*groups, *(name.partition(".")[0] for name in keys)])
        known = f"there are {', '.join(top)}"
    # A word without a dot, and a value that is some group's option, were meant for that group.
    meant = None if inside else nearest(key, [group for group, options in groups.items() if value in options])
    meant = meant or nearest(key, keys) or nearest(key, groups)
    owners = [f"{inside}={name}" for name, path in groups.get(inside, {}).items() if last in OmegaConf.load(path)]
    if meant:
        cure = f"{sign}{meant}{equals}{value}"
    elif owners:
        cure = f"{owners[0]} {typed}"
    else:
        cure = "python -m exp --cfg job, which prints every key"
    return ConfigError(f"{typed}: there is no key {key}; {known}", cure)


def _wrong_in_file(said: str, key: str, line: CommandLine) -> ConfigError:
    """What a YAML sets that is no key, or cannot be its value; whoever reports it finds the place."""
    if said.startswith("Key "):
        near = nearest(key, [*line.keys(), *line.groups()])
        return ConfigError(f"{key}: there is no such key", f"{near} in its place" if near else "a YAML without it")
    value = re.match(r"Value '(.+?)' of type", said)
    if value is not None and key in CONSTRAINTS:
        return ConfigError(f"{key} must be {CONSTRAINTS[key][0]}, not {value[1]}", example(key, value[1]))
    return ConfigError(f"{key}: {said}", f"another value, as `python -m exp --cfg job` shows {key}")


def _no_option(line: CommandLine) -> ConfigError:
    groups = line.groups()
    pairs = ((text, *text.partition("=")[::2]) for text in line.overrides)
    typed, group, value = next(
        (text, group, value) for text, group, value in pairs if group in groups and value not in groups[group]
    )
    options = list(groups[group])
    none = value == "null" and "none" in options
    return ConfigError(
        f"{typed}: {group} takes one of its options; there are {', '.join(options)}",
        f"{group}=none" if none else line.instead(group, value, options),
    )


def wrong_value(override: str, error: Exception) -> ConfigError:
    key, _, value = override.partition("=")
    cause = error.__cause__
    if key in CONSTRAINTS:
        return ConfigError(f"{key} must be {CONSTRAINTS[key][0]}, not {value}", example(key, value))
    if inside := fitting(value, [name for name in CONSTRAINTS if name.startswith(f"{key}.")]):
        return ConfigError(f"{override}: {key} holds several keys, and no value of its own", f"{inside}={value}")
    reason = str(cause).splitlines()[0] if isinstance(cause, ValidationError) else "it does not fit there"
    return ConfigError(f"{override}: {reason}", f"python -m exp {key}=VALUE, as `python -m exp --cfg job` shows it")


def _unreadable(error: OverrideParseException, line: CommandLine) -> ConfigError:
    override = error.override
    key, _, value = override.partition("=")
    if re.fullmatch(r"\(.*\)", value):
        return ConfigError(f"{override}: a list stands in square brackets", f"'{key}=[{value[1:-1]}]'")
    if colon := re.fullmatch(r"([\w.]+):([\w.]+)(=.*)?", override):
        sign = "." if colon[3] else "="
        return ConfigError(f"{override}: every argument is KEY=VALUE", f"{colon[1]}{sign}{colon[2]}{colon[3] or ''}")
    if "=" not in override:
        owners = [
            f"{group}={option}" for group, options in line.groups().items() for option in options if option == override
        ]
        return ConfigError(
            f"{override}: every argument is KEY=VALUE",
            owners[0] if owners else "python -m exp --help, which lists the keys",
        )
    return ConfigError(
        f"{override}: cannot be read as KEY=VALUE; quote what the shell or Hydra would take apart",
        f"'{override.partition('=')[0]}=[1,2]' for a list, 1,2 for a sweep's values, '\"a=b, c\"' for words",
    )
