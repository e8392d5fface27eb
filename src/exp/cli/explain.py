"""Explain what Hydra and OmegaConf refuse: what is wrong, and what to type. Imports no torch, which takes a second."""

import re
import shlex
from collections.abc import Callable
from typing import TypeAlias

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from exp.cli.command_line import CommandLine
from exp.cli.intent import command_key, file_overrides, missing_target, other_columns
from exp.cli.mode import NOT_VARIED, differ_in_fold_only
from exp.cli.os_errors import explain_os_error
from exp.cli.parse_errors import explain_parse_error
from exp.cli.plugin_keys import explain_plugin_key, search_setting
from exp.cli.typed_keys import keep_typed, refuse_plus
from exp.config import hydra_messages as messages
from exp.config.allowlist import READ_BY_EXP
from exp.config.constraints import CONSTRAINTS, example, fitting, list_override, violation
from exp.config.former_names import rename_override
from exp.config.nearest_names import nearest, same_key_elsewhere
from exp.config.overrides import override_key, range_override, shell_line
from exp.config.schema import default_option
from exp.config.yaml_comments import keys_in
from exp.errors import ConfigError, ExpError
from exp.sweeps.jobs import InvalidJob


def explain(error: Exception, line: CommandLine) -> ExpError:
    """Return what is wrong with the command line, and what to type; an ExpError already says so.

    Of an error in one job of a sweep the problem names the job.
    """
    return keep_typed(_explain(error, line), line, is_ours=isinstance(error, ExpError))


def _explain(error: Exception, line: CommandLine) -> ExpError:
    if isinstance(error, InvalidJob):
        problem = explain(error.reason, line.with_overrides(error.overrides))
        if differ_in_fold_only(line.overrides, error.overrides):
            return problem
        where = f"{problem.problem} (in the job {shlex.join(error.overrides)})"
        return ConfigError(where, problem.fix, key=problem.key, override=problem.override)
    if isinstance(error, ExpError):
        return missing_target(error, line)
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        keys = ("sweep.resume", "resume", "dataset.path", "hydra.sweep.dir", "hydra.run.dir")
        given = {key: line.text_of(key) for key in keys if line.override_of(key) is not None}
        return explain_os_error(error, given, "hydra.sweep.dir" if line.multirun else "hydra.run.dir")
    if isinstance(error, OverrideParseException):
        return explain_parse_error(error.override, line)
    message = str(error)
    for pattern, explanation in EXPLANATIONS:
        match = pattern.search(message)
        if match is not None and (problem := explanation(match, error, line)) is not None:
            return problem
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        return ConfigError(f"cannot read a YAML file: {' '.join(message.split())}", "correct that line")
    texts = [text for text in messages.APPEND_ADVICE.sub("", message).splitlines() if text]
    if isinstance(error.__cause__, OmegaConfBaseException):
        texts.append(str(error.__cause__).splitlines()[0])
    return ConfigError(" ".join(texts) or type(error).__name__, "python -m exp --help")


def _unknown_option(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError | None:
    if not isinstance(error, MissingConfigException) or error.options is None:
        return None
    group, _, option = match[1].rpartition("/")
    typed = (word.partition("=")[::2] for word in line.overrides)
    group, option = next((pair for pair in typed if "/".join(pair) == match[1]), (group, option))
    options = [one for one in error.options if ":" not in one]  # device=cuda:0 to cuda:63 would be a long list
    override = (
        line.nearest_option(group, option, options) if option else f"{group}={default_option(group) or options[0]}"
    )
    fix = override or f"another {group}, one of these"
    if group == "dataset" and (overrides := file_overrides(option, line)) is not None:
        override, fix = overrides, shlex.join(overrides)
    what = f"{group}={option}: unknown {group} '{option}' (available: {', '.join(options)})"
    return ConfigError(what, fix, key=group, override=override)


def _value_for_group(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError | None:
    del match, error
    triples = ((word, override_key(word), word.partition("=")[2]) for word in line.overrides)
    wrong = ((word, group, value) for word, group, value in triples if value not in line.groups.get(group, [value]))
    if (first := next(wrong, None)) is None:  # a group of Hydra
        return None
    typed, group, value = first
    options = list(line.groups[group])
    none = value == "null" and "none" in options
    override = f"{group}=none" if none else line.nearest_option(group, value, options)
    return ConfigError(
        f"{typed}: {group} must be one of its options (available: {', '.join(options)})",
        override or f"another {group}, one of these",
        key=group,
        override=override,
    )


def _several_values(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    del error
    key, _, values = match[1].partition("=")
    if override := list_override(key, values.split(",")):
        what = f"{match[1]}: {'a list needs brackets' if '[' in override else 'a decimal number needs a point'}"
        return ConfigError(what, f"'{override}'" if "[" in override else override, key=key, override=override)
    return _needs_sweep(match[1], line)


def _cannot_override(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError | None:
    if isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError):
        return _unknown_key(match, error, line)
    return None


def _unknown_key(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    del error
    key = match[1]
    typed = line.override_of(key) or key
    sign = typed[: len(typed) - len(typed.lstrip("+~"))]
    _, equals, value = typed.partition("=")
    if (problem := command_key(key, value, line) or search_setting(key)) is not None:
        return problem
    if (problem := other_columns(key, typed, line)) is not None:
        return problem
    if (problem := explain_plugin_key(key, typed, line)) is not None:
        return problem
    if (renamed := rename_override(key, value)) is not None:
        return ConfigError(f"{typed}: this key has another name now", renamed, key=key, override=renamed)
    if (overrides := file_overrides(value, line)) is not None:
        what = f"{typed}: unknown key '{key}'"
        return ConfigError(what, shlex.join(overrides), key=key, override=overrides)
    inside, _, last = key.rpartition(".")
    siblings = [name.rpartition(".")[2] for name in line.keys if name.rpartition(".")[0] == inside]
    if inside in line.groups:
        known = f"{inside} has {', '.join(siblings) or 'no keys'}"
    else:
        top = dict.fromkeys([*line.groups, *(name.partition(".")[0] for name in line.keys)])
        known = f"available: {', '.join(top)}"
    files = line.groups.get(inside, {})
    owners = [f"{inside}={name}" for name, path in files.items() if last in keys_in(path, inside)]
    # A word without a dot, and a value that is some group's option, were meant for that group.
    meant = None if inside else nearest(key, [group for group, options in line.groups.items() if value in options])
    meant = meant or (None if owners else same_key_elsewhere(key, line.keys))
    meant = meant or nearest(key, line.keys) or nearest(key, line.groups)
    usual = f"{inside}={default_option(inside)}"
    owners.sort(key=lambda option: option != usual)
    override: str | tuple[str, ...] | None = f"{sign}{meant}{equals}{value}" if meant else None
    fix = override or "python -m exp --cfg job, which prints every key"
    if last in READ_BY_EXP.get(inside, ()) and not sign:  # of every dataset, also where its YAML does not name it
        override = fix = f"+{typed}"
    elif owners and (not meant or owners[0] == usual):
        override = (owners[0], typed)
        fix = " ".join(override)
    return ConfigError(f"{typed}: unknown key '{key}' ({known})", fix, key=key, override=override)


def _already_there(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    del error
    return refuse_plus(match[1], line.override_of(match[1]), line.multirun)


def _wrong_value(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    key, _, value = match[1].partition("=")
    if (values := range_override(key, value)) is not None:
        return _range(match[1], values, line)
    if key in CONSTRAINTS:
        return violation(key, value)
    if keys := [name for name in line.keys if name.startswith(f"{key}.")]:
        override = f"{inside}={value}" if (inside := fitting(value, keys)) else None
        what = f"{match[1]}: {key} is a group of keys, not a value"
        return ConfigError(what, override or example(keys[0]), key=key, override=override)
    cause = error.__cause__
    reason = str(cause).splitlines()[0] if isinstance(cause, ValidationError) else "the value has the wrong type"
    return ConfigError(f"{match[1]}: {reason}", f"{key}=VALUE, as `python -m exp --cfg job` shows it", key=key)


def _range(typed: str, override: str, line: CommandLine) -> ConfigError:
    """Return the error for 1-3 or 0..3, which mean range(1,4) or range(0,4) in a sweep."""
    what = f"{typed}: several values are range(FIRST,BEYOND), in a sweep (-m)"
    if line.multirun:
        return ConfigError(what, shlex.quote(override), key=override_key(override), override=override)
    return ConfigError(what, shell_line(["-m", *(override if word == typed else word for word in line.words)]))


def _sweep_without_flag(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    del error
    return _needs_sweep(match[1], line)


def _needs_sweep(typed: str, line: CommandLine) -> ConfigError:
    key, _, values = typed.partition("=")
    if key in ("device", "device.name"):
        one = f"{key}={values.partition(',')[0]}; in a sweep (-m), hydra/launcher=ray runs one job on each GPU"
        return ConfigError(f"{typed}: a run uses one device", one, key=key)
    if key in NOT_VARIED:
        one = f"{key}={values.partition(',')[0]}"
        return ConfigError(f"{typed}: {key} takes one value", one, key=key, override=one)
    return ConfigError(f"{typed}: several values need a sweep (-m)", shell_line(["-m", *line.words]), key=key)


def _wrong_in_file(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    """Explain an unknown key or a wrong value in a YAML file; `diagnose` adds the file and line."""
    del error
    said, key = match.groups()
    if key in line.groups and messages.UNKNOWN_KEY_IN_FILE.match(said):  # of presets, which set keys of the top
        path = line.groups[key].get(line.text_of(key))
        return ConfigError(f"{path or key}: its keys are not below '{key}'", "its first line: # @package _global_")
    if messages.UNKNOWN_KEY_IN_FILE.match(said):
        if (problem := search_setting(key)) is not None:
            return problem
        near = same_key_elsewhere(key, line.keys) or nearest(key, [*line.keys, *line.groups])
        fix = f"{near} instead" if near else "remove it"
        return ConfigError(f"{key}: unknown key", fix, key=key)
    value = messages.WRONG_VALUE_IN_FILE.match(said)
    if value is not None and key in CONSTRAINTS:
        return violation(key, value[1])
    return ConfigError(f"{key}: {said}", f"another value, as `python -m exp --cfg job` shows {key}", key=key)


def _search_only(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    del match, error, line
    return ConfigError("interval(...) needs a search", "add hydra/sweeper=optuna")


def _chosen_twice(match: re.Match[str], error: Exception, line: CommandLine) -> ConfigError:
    del error, line
    what = f"+{match[1]}: the group is in the defaults, and + only adds new ones"
    return ConfigError(what, f"{match[1]}=OPTION without +", key=match[1])


Explanation: TypeAlias = Callable[[re.Match[str], Exception, CommandLine], ConfigError | None]

# Tried in this order: the first explanation that is not None is given.
EXPLANATIONS: list[tuple[re.Pattern[str], Explanation]] = [
    (messages.NO_GROUP_OPTION, _unknown_option),
    (messages.VALUE_FOR_GROUP, _value_for_group),
    (messages.SEVERAL_VALUES, _several_values),
    (messages.SWEEP_WITHOUT_FLAG, _sweep_without_flag),
    (messages.CANNOT_OVERRIDE, _cannot_override),
    (messages.CANNOT_DELETE, _unknown_key),
    (messages.ALREADY_THERE, _already_there),
    (messages.WRONG_VALUE, _wrong_value),
    (messages.WRONG_IN_FILE, _wrong_in_file),
    (messages.SEARCH_ONLY, _search_only),
    (messages.CHOSEN_TWICE, _chosen_twice),
]
