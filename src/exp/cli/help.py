"""`exp --help`: one screen; `exp --help TOPIC` explains a group, a key or a command.

Everything is read from the YAML files and their comments, and from the docstrings of the commands.
"""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import NamedTuple

from exp.cli.columns import column_row, paragraph
from exp.cli.command_help import help_of
from exp.cli.command_line import CommandLine
from exp.cli.commands import COMMANDS, load
from exp.cli.plugin_keys import PLUGINS, explain_keys, find_topic
from exp.cli.topics import explain_topic, meant_topic, topic_names
from exp.config.constraints import CONSTRAINTS
from exp.config.nearest_names import nearest
from exp.config.schema import CONF, default_option
from exp.config.yaml_comments import default_options, parse_opening, read_commented_keys, read_option_keys
from exp.errors import ConfigError, as_yaml

# The most frequent keys, in the order of the screen.
_USUAL_KEYS = (
    "epochs",
    "optimizer.lr",
    "batching.batch_size",
    "model.hidden",
    "dataset.path",
    "dataset.target",
    "seed",
    "folds",
    "sweep.workers",
)

# Commands that share a row of the screen.
_ON_ONE_ROW = {
    "tag": (("tag", "mv", "rm"), "Tag, name, move or remove runs and sweeps"),
    "cache": (("cache", "schema", "new"), "Prepared rows; JSON Schemas for editors; a new project"),
}

# Groups of Hydra's own that a user sets. Their options are plugins, which have no YAML files.
_PLUGINS = {
    "hydra/launcher": "where the jobs of a sweep (-m) run. exp: in worker processes of this machine (the default); "
    "ray: on a Ray cluster; submitit_slurm: on a Slurm cluster; submitit_local: the same on this machine",
    "hydra/sweeper": "how the jobs of a sweep (-m) are chosen. exp: every combination (the default); optuna: a search",
}


class _Key(NamedTuple):
    name: str
    value: str  # "" where it must be given
    clause: str
    options: tuple[str, ...]  # of its group, that have it


def help_text(line: CommandLine) -> str:
    """Return the help screen, or the help of each topic among the overrides. ConfigError for an unknown topic."""
    if not line.overrides:
        return "\n".join(_screen(line))
    return "\n\n".join("\n".join(_topic(topic, line)) for topic in line.overrides)


def version_text() -> str:
    """Return the versions of exp and of the packages that its numbers depend on."""
    others = ", ".join(f"{name} {_version(name)}" for name in ("torch", "hydra-core"))
    return f"exp {_version('exp')} ({others}, Python {python_version()})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # exp runs from a checkout that is not installed
        return "unknown"


def _screen(line: CommandLine) -> Iterator[str]:
    defaults = default_options((CONF / "config.yaml").read_text(encoding="utf-8"))
    keys = {key.name: key for key in _keys(line)}
    yield "usage: python -m exp [-m] [FILE.yaml] [GROUP=OPTION] [KEY=VALUE] ...    train"
    yield "       python -m exp COMMAND ...  use what was trained; -m seed=0,1,2: a sweep"
    yield "groups and their options (* is the default)"
    for group, options in line.groups.items():
        default = default_option(group)
        names = " ".join(f"*{name}" if name == default else name for name in options)
        comment = defaults[group].comment if group in defaults else ""
        yield from column_row(group, 12, f"{comment}: {names}" if comment else names)
    yield "keys and their values (VALUE: none yet)"
    for name in _USUAL_KEYS:
        if name in keys:
            yield from column_row(f"{name}={keys[name].value or 'VALUE'}", 28, _short(keys[name].clause))
    yield "commands"
    shown: set[str] = set()
    for name in COMMANDS:
        if name in _ON_ONE_ROW:
            names, clause = _ON_ONE_ROW[name]
            shown |= {*names}
            yield from column_row(" ".join(names), 12, clause)
        elif name not in shown:
            yield from column_row(name, 12, (load(name).__doc__ or "").partition("\n")[0].rstrip("."))
    yield "--json, with any of these: one object on stdout, also for an error"
    yield "where to: hydra.run.dir=FOLDER of a run, hydra.sweep.dir=FOLDER of a sweep"
    yield "more: exp COMMAND --help, exp --help TOPIC: a group, option or key, or one of"
    yield f"      {' '.join(topic_names())}"
    yield "      --cfg job: all keys; --config-dir DIR: your YAMLs; --version"
    yield '      completion: eval "$(exp -sc install=bash)"'


def _short(clause: str) -> str:
    return re.split("[;:]", clause)[0]


def _topic(topic: str, line: CommandLine) -> Iterator[str]:
    name, _, option = topic.partition("=")
    keys = list(_keys(line))
    inside = [key for key in keys if key.name == name or key.name.startswith(f"{name}.")]
    ending = [key for key in keys if key.name.endswith(f".{name}")]
    owners = [group for group, options in line.groups.items() if topic in options]
    task = list(explain_topic(topic))
    yield from task
    if task and (inside or ending or owners):
        yield ""
    if topic in COMMANDS:
        yield help_of(load(topic))
    elif option in line.groups.get(name, {}):
        yield from _option(name, option, line)
    elif name in line.groups:
        defaults = default_options((CONF / "config.yaml").read_text(encoding="utf-8"))
        yield from paragraph(f"{name}: {defaults[name].comment if name in defaults else ''}")
        default = default_option(name)
        for option, path in line.groups[name].items():
            about, _ = parse_opening(path.read_text(encoding="utf-8-sig"))
            yield from column_row(f"{name}={option}", 28, f"{about} (the default)" if option == default else about)
        yield from _explain_keys(inside, tuple(line.groups[name]))
    elif inside:
        yield from _explain_keys(inside, ())
        if len(inside) == 1:
            yield from _defaults(inside[0], line)
    elif owners:
        for place, group in enumerate(owners):
            yield from [""] * (place > 0)
            yield from _option(group, topic, line)
    elif topic == "hydra":
        for group in _PLUGINS:
            yield from _plugin(group.removeprefix("hydra/"), None)
        yield "hydra.run.dir, hydra.sweep.dir: the folder of a run, of a sweep; --cfg hydra prints all keys of Hydra's"
    elif (plugin := find_topic(topic)) is not None:
        yield from _plugin(*plugin)
    elif ending:  # the last part of a key suffices
        yield from _explain_keys(ending, ())
    elif not task:
        raise _unknown_topic(topic, line)


def _unknown_topic(topic: str, line: CommandLine) -> ConfigError:
    options = [option for group in line.groups.values() for option in group]
    known = [*line.groups, *COMMANDS, *topic_names(), *options, *(key.name for key in _keys(line)), "hydra", *_PLUGINS]
    near = meant_topic(topic) or nearest(topic.partition("=")[0], known)
    return ConfigError(
        f"--help {topic}: unknown topic (available: groups, options, keys, commands, {', '.join(topic_names())})",
        f"python -m exp --help {near}" if near else "python -m exp --help",
    )


def _option(group: str, option: str, line: CommandLine) -> Iterator[str]:
    """Yield what there is to know of one option of a group."""
    about, examples = parse_opening(line.groups[group][option].read_text(encoding="utf-8-sig"))
    yield from paragraph(f"{group}={option}: {about}")
    yield from (f"  {command}" for command, _ in examples)
    yield from _explain_keys([key for key in _keys(line, group, option) if key.name.startswith(f"{group}.")], ())


def _plugin(kind: str, option: str | None) -> Iterator[str]:
    """Yield the help of a launcher or a sweeper, or of all of them."""
    if option is None:
        yield from paragraph(f"hydra/{kind}: {_PLUGINS[f'hydra/{kind}']}; exp --help hydra/{kind}={PLUGINS[kind][1]}")
        return
    yield from paragraph(f"hydra/{kind}={option}: its keys; exp --help hydra/{kind} lists the other options")
    for key, comment in explain_keys(kind, option):
        yield from column_row(key, 36, comment)


def _defaults(key: _Key, line: CommandLine) -> Iterator[str]:
    """Yield the default that each option has for a key, if they differ."""
    group = key.name.partition(".")[0]
    values = {
        option: next(one.value for one in _keys(line, group, option) if one.name == key.name) for option in key.options
    }
    if len(set(values.values())) > 1:
        for value in dict.fromkeys(values.values()):
            owners = ", ".join(option for option, own in values.items() if own == value)
            yield from column_row("", 32, f"{value or 'VALUE'} with {group}: {owners}")


def _explain_keys(keys: Sequence[_Key], options: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        yield from column_row(f"{key.name}={key.value or 'VALUE'}", 32, key.clause)
        allowed = str(CONSTRAINTS[key.name][0]) if key.name in CONSTRAINTS else ""
        only = f"with {', '.join(key.options)}" if options and key.options != options else ""
        if details := "; ".join(part for part in (allowed, only) if part):
            yield from column_row("", 32, f"({details})")


def _keys(line: CommandLine, group: str | None = None, option: str | None = None) -> Iterator[_Key]:
    """Yield every key, with the value and comment of the default option, or else of the first option that has it."""
    found: dict[str, _Key] = {}
    for key in read_commented_keys((CONF / "config.yaml").read_text(encoding="utf-8")):
        if not key.name.startswith("hydra."):
            found[key.name] = _Key(key.name, as_yaml(key.value), key.comment, ())
    for name in [group] if group is not None else line.groups:
        files = line.groups[name]
        first = option or default_option(name)
        for choice in sorted(files, key=lambda choice: choice != first):
            text = files[choice].read_text(encoding="utf-8-sig")
            for key in read_option_keys(text, name):
                value = "" if key.value == "???" else as_yaml(key.value)
                before = found.get(key.name, _Key(key.name, value, key.comment, ()))
                if key.name.startswith(f"{name}.") and (option is None or choice == option):
                    options = tuple(one for one in files if one in (*before.options, choice))
                    found[key.name] = before._replace(options=options)
    yield from found.values()
