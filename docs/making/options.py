"""Read the options and keys of conf/ from its YAML files and the classes that they name."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exp.config.allowlist import given
from exp.config.constraints import CONSTRAINTS
from exp.config.instantiate import import_target
from exp.config.schema import CONF
from exp.config.signatures import parameters
from exp.config.yaml_comments import parse_opening, read_commented_keys
from exp.errors import as_yaml
from making import docstrings


@dataclass(frozen=True)
class Key:
    """A config key: its name, default, allowed values and description."""

    name: str
    value: str
    allowed: str
    description: str


@dataclass(frozen=True)
class Option:
    """One YAML file of a group.

    Attributes:
        text: The opening comment.
        commands: The example commands of the opening comment.
        overrides: Choices of other groups that this option makes, such as "loss=mse".
        target: The `_target_`, if there is one.
        summary: The first sentence of the target's docstring.
        other_arguments: Arguments of the target that are not in the YAML.
    """

    group: str
    name: str
    text: str
    commands: list[str]
    keys: list[Key]
    overrides: list[str]
    target: str | None
    summary: str
    other_arguments: list[str]


def group_names() -> list[str]:
    return [path.name for path in sorted(CONF.iterdir()) if path.is_dir() and path.name != "hydra"]


def read_options(group: str) -> list[Option]:
    return [read_option(path) for path in sorted((CONF / group).glob("*.yaml"))]


def read_option(path: Path) -> Option:
    text = path.read_text(encoding="utf-8")
    group = path.parent.name
    about, commands = parse_opening(text)
    content: dict[str, Any] = yaml.safe_load(text) or {}
    is_global = "# @package _global_" in text
    node: dict[str, Any] = dict((content.get(group) or {}) if is_global else content)
    node.pop("defaults", None)
    target = node.get("_target_") if node.get("_target_") != "auto" else None
    function = import_target(group, node) if target else None
    return Option(
        group=group,
        name=path.stem,
        text=about,
        commands=[command for command, _ in commands],
        keys=list(read_keys(text, "" if is_global else f"{group}.", group, function)),
        overrides=[f"{group}={name}" for group, name in read_overrides(content)],
        target=target,
        summary=docstrings.read_summary(function) if function else "",
        other_arguments=_other_arguments(group, node, function) if function else [],
    )


def _other_arguments(group: str, node: dict[str, Any], function: Callable[..., Any]) -> list[str]:
    names = [name for name in parameters(node["_target_"]) or () if name not in (*node, *given(group))]
    return [name for name in names if docstrings.is_configurable(function, name)]


def read_keys(text: str, prefix: str, group: str, function: Callable[..., Any] | None) -> Iterator[Key]:
    """Yield the keys of a YAML file in its order, without `_target_` and `defaults`."""
    for key in read_commented_keys(text, prefix):
        last = key.name.rpartition(".")[2]
        owner = function if key.name == f"{group}.{last}" else None
        constraint = CONSTRAINTS.get(key.name)
        yield Key(
            name=key.name,
            value="" if key.value == "???" else as_yaml(key.value),
            allowed=str(constraint[0]) if constraint else docstrings.read_annotation(owner, last),
            description=key.comment or docstrings.read_argument(owner, last),
        )


def read_overrides(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the group and option of each override in the defaults list."""
    for entry in content.get("defaults", ()):
        for where, name in entry.items() if isinstance(entry, dict) else ():
            if match := re.match(r"override /(\w+)", where):
                yield match[1], name


def read_fields(schema: type) -> list[Key]:
    """Return the fields of a dataclass with the comments on their lines as descriptions, inherited fields first."""
    keys: dict[str, Key] = {}
    for base in reversed(schema.__mro__[:-1]):
        for line in inspect.getsource(base).splitlines():
            if match := re.match(r"    (\w+): (.+?) = (.+?)(?:  # (.*))?$", line):
                name, kind, _, description = match.groups()
                if not name.startswith("_"):  # a key of Hydra's
                    keys[name] = Key(name, _default(schema, name), docstrings.describe_type(kind), description or "")
    return list(keys.values())


def _default(schema: type, name: str) -> str:
    field = schema.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return as_yaml(field.default if isinstance(field.default, str | int | float | None) else field.default_factory())
