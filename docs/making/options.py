"""What a YAML of conf/ offers, read from the file itself and from what it names: nothing is listed by hand."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode

from exp.config.allowlist import GIVEN
from exp.config.constraints import CONSTRAINTS
from exp.config.instantiate import resolve
from exp.config.schema import CONF
from exp.config.signatures import parameters
from exp.errors import as_yaml
from making import docstrings


@dataclass(frozen=True)
class Key:
    """A key as one types it, its value in the YAML, what else it may be, and what it means."""

    name: str
    value: str
    allowed: str
    meaning: str


@dataclass(frozen=True)
class Option:
    """One YAML: what it is, lines to type, its keys; what it names, and what that takes beside those keys."""

    group: str
    name: str
    text: str
    commands: list[str]
    keys: list[Key]
    brings: list[str]
    target: str | None
    summary: str
    more: list[str]


def groups() -> list[str]:
    return [path.name for path in sorted(CONF.iterdir()) if path.is_dir() and path.name != "hydra"]


def options(group: str) -> list[Option]:
    return [option_in(path) for path in sorted((CONF / group).glob("*.yaml"))]


def option_in(path: Path) -> Option:
    text = path.read_text(encoding="utf-8")
    group = path.parent.name
    about, commands = opening(text)
    content: dict[str, Any] = yaml.safe_load(text) or {}
    at_top = "# @package _global_" in text
    node: dict[str, Any] = dict((content.get(group) or {}) if at_top else content)
    node.pop("defaults", None)
    target = node.get("_target_")
    function = resolve(group, node) if target else None
    return Option(
        group=group,
        name=path.stem,
        text=about,
        commands=[command for command, _ in commands],
        keys=list(keys(text, "" if at_top else f"{group}.", group, function)),
        brings=[f"{group}={name}" for group, name in brought(content)],
        target=target,
        summary=docstrings.summary(function) if function else "",
        more=[name for name in _others(group, node) if docstrings.is_typed(function, name)] if function else [],
    )


def _others(group: str, node: dict[str, Any]) -> list[str]:
    """What the target takes besides, as its source tells."""
    return [name for name in parameters(node["_target_"]) or () if name not in (*node, *GIVEN[group])]


def opening(text: str) -> tuple[str, list[tuple[str, str]]]:
    """What the comment at the top says, and its lines to type, each with the remark that stands behind it."""
    said: list[str] = []
    commands: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("# @package"):
            continue
        if line.startswith("#   "):
            command, _, remark = line.removeprefix("#   ").partition("   ")
            commands.append((command, remark.strip()))
        else:
            said.append(line.removeprefix("# "))
    return " ".join(said), commands


def keys(text: str, prefix: str, group: str, function: Callable[..., Any] | None) -> Iterator[Key]:
    """Every key of a YAML that a person may set, in its order."""
    root = yaml.compose(text)
    assert isinstance(root, MappingNode)
    for name, node in _leaves(root, prefix):
        last = name.rpartition(".")[2]
        own = function if name == f"{group}.{last}" else None
        value = yaml.safe_load(text[node.start_mark.index : node.end_mark.index])
        limit = CONSTRAINTS.get(name)
        yield Key(
            name=name,
            value="" if value == "???" else as_yaml(value),
            allowed=str(limit[0]) if limit else docstrings.annotation(own, last),
            meaning=_comment(text, node) or docstrings.argument(own, last),
        )


def brought(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a YAML chooses of other groups."""
    for entry in content.get("defaults", ()):
        for where, name in entry.items() if isinstance(entry, dict) else ():
            if match := re.match(r"override /(\w+)", where):
                yield match[1], name


def _leaves(node: MappingNode, prefix: str) -> Iterator[tuple[str, Node]]:
    for key, value in node.value:
        assert isinstance(key, ScalarNode)
        if key.value in ("_target_", "defaults"):
            continue
        if isinstance(value, MappingNode):
            yield from _leaves(value, f"{prefix}{key.value}.")
        else:
            yield f"{prefix}{key.value}", value


def _comment(text: str, node: Node) -> str:
    """What stands behind a value in its line."""
    rest = text[node.end_mark.index :].partition("\n")[0]
    return rest.partition("#")[2].strip()


def fields_of(schema: type) -> list[Key]:
    """The keys of a dataclass whose lines say what they mean, those that it inherits first."""
    found: dict[str, Key] = {}
    for one in reversed(schema.__mro__[:-1]):
        for line in inspect.getsource(one).splitlines():
            if match := re.match(r"    (\w+): (.+?) = (.+?)(?:  # (.*))?$", line):
                name, kind, _, meaning = match.groups()
                if name != "_target_":
                    found[name] = Key(name, _default(schema, name), docstrings.plain_type(kind), meaning or "")
    return list(found.values())


def _default(schema: type, name: str) -> str:
    field = schema.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return as_yaml(field.default if isinstance(field.default, str | int | float | None) else field.default_factory())
