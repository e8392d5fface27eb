"""JSON Schemas of a config and of the options of each group, for editors, from the limits and comments of the keys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast, get_type_hints

import yaml

from exp.config.allowlist import READ_BY_EXP, given
from exp.config.by_target import GROUPS, KINDS
from exp.config.constraints import CONSTRAINTS
from exp.config.limits import any_of
from exp.config.schema import CONF, Config
from exp.config.signatures import parameters
from exp.config.yaml_comments import parse_opening, read_commented_keys, read_option_keys

DIALECT = "http://json-schema.org/draft-07/schema#"

# A value that another key or a command line gives.
_LATER = {"type": "string", "pattern": r"\$\{|^\?\?\?$"}

_SCHEMA_OF_TYPE = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


@dataclass(frozen=True)
class Option:
    """A file of conf/GROUP: its name, what its first comment says, its target, and the comments of its keys."""

    name: str
    summary: str
    target: str | None
    comments: Mapping[str, str]


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each kind of YAML file by name: `config`, and each group."""
    groups = [field.name for field in fields(Config) if (CONF / field.name).is_dir()]
    return {"config": _config_schema(groups), **{group: _file_schema(group) for group in groups}}


def _config_schema(groups: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a config, or of a part of it such as an experiment."""
    keys = read_commented_keys((CONF / "config.yaml").read_text(encoding="utf-8"))
    comments = {key.name: key.comment for key in keys}
    options = {group: {"$ref": f"{group}.json#/definitions/option"} for group in groups}
    known = {**_properties_of(Config, "", comments), **options}
    return {
        "$schema": DIALECT,
        "title": "a config of exp",
        "type": "object",
        "properties": {"defaults": _defaults_schema([*groups, "experiment"]), "hydra": {}, **known},
        "additionalProperties": False,
    }


def _file_schema(group: str) -> dict[str, Any]:
    """Return the schema of a file of the group: an option, or a part of a config that has the group."""
    return {
        "$schema": DIALECT,
        "title": f"an option of {group}",
        "if": {"required": [group]},
        "then": {"$ref": "config.json"},
        "else": {"$ref": "#/definitions/option"},
        "definitions": {"option": _group_schema(group)},
    }


def _defaults_schema(groups: Iterable[str]) -> dict[str, Any]:
    """Return the schema of a defaults list: names of files, and the option of each group."""
    one: dict[str, Any] = {}
    for group in groups:
        options = {option.name: option.summary for option in _options(group)}
        of_own = {"type": ["string", "null"], "description": "your own option"}
        choice = {"anyOf": [{"enum": list(options)}, of_own], "description": ", ".join(options)}
        one |= {group: choice, f"override /{group}": choice, f"override {group}": choice}
    return {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object", "properties": one}]}}


def _group_schema(group: str) -> dict[str, Any]:
    """Return the schema of a group's options.

    The keys of a target that conf/ names are its arguments. Those of the user's own targets may be any.
    """
    declared = Config.__dataclass_fields__[group].type
    if isinstance(declared, type) and is_dataclass(declared):
        merged = {key: text for option in _options(group) for key, text in option.comments.items()}
        properties: dict[str, Any] = {"defaults": {}, **_properties_of(declared, f"{group}.", merged)}
        return {"type": "object", **_closed(properties)}
    by_target: dict[str, dict[str, Any]] = {}
    for option in _options(group):
        if option.target is not None:
            names = [name for name in parameters(option.target) or [] if name not in given(group)]
            names = list(dict.fromkeys([*option.comments, *names, *READ_BY_EXP[group]]))
            own = {name: _value_schema(f"{group}.{name}", option.comments.get(name, "")) for name in names}
            by_target[option.target] = own | by_target.get(option.target, {})
    every = {name: schema for own in by_target.values() for name, schema in own.items()}
    target = {"type": ["string", "null"], "description": "the class or function", "examples": list(by_target)}
    common = {"_target_": target, "defaults": {}}
    branches = [
        {"if": _has_target({"const": name}), "then": _closed({**common, **own})} for name, own in by_target.items()
    ]
    without = {"if": {"not": {"required": ["_target_"]}}, "then": _closed({**common, **every})}
    return {"type": "object", "properties": common, "allOf": [*branches, without]}


def _has_target(target: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"_target_": target}, "required": ["_target_"]}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"properties": properties, "additionalProperties": False}


def _properties_of(declared: type, prefix: str, comments: Mapping[str, str]) -> dict[str, Any]:
    """Return the schemas of the keys of a dataclass."""
    hints = get_type_hints(declared)
    found: dict[str, Any] = {}
    for field in fields(declared):
        hint, name = hints[field.name], f"{prefix}{field.name}"
        if isinstance(hint, type) and is_dataclass(hint):
            found[field.name] = {"type": "object", **_closed(_properties_of(hint, f"{name}.", comments))}
        else:
            text = comments.get(name) or comments.get(field.name, "")
            found[field.name] = _value_schema(name, text, hint)
    return found


def _value_schema(key: str, comment: str, hint: Any = Any) -> dict[str, Any]:
    """Return the schema of the values of a key: by its limit, or else by its type."""
    described = {"description": comment} if comment else {}
    if key not in CONSTRAINTS:
        kinds = [_SCHEMA_OF_TYPE[one] for one in getattr(hint, "__args__", (hint,)) if one in _SCHEMA_OF_TYPE]
        return {**(any_of(*kinds, _LATER) if kinds else {}), **described}
    limit, usual = CONSTRAINTS[key]
    one = limit.json_schema()
    if hint is str and limit.accepts("7"):  # a number in a file becomes a text
        one = any_of(one, {"type": "integer", "minimum": 1})
    if key.partition(".")[0] in GROUPS:
        pair = {"type": "object", **_closed(dict.fromkeys(KINDS, one)), "required": list(KINDS)}
        one = any_of(one, pair)
    return {**any_of(one, _LATER), **described, "examples": [yaml.safe_load(usual)]}


@cache
def _options(group: str) -> list[Option]:
    """Return the options that conf/ has for a group, by name."""
    return [_read_option(path, group) for path in sorted((CONF / group).glob("*.yaml"))]


def _read_option(path: Path, group: str) -> Option:
    text = path.read_text(encoding="utf-8")
    content = cast("dict[str, Any]", yaml.safe_load(text) or {})
    node = cast("dict[str, Any]", content.get(group) or {}) if "@package _global_" in text else content
    keys = (key for key in read_option_keys(text, group) if key.name.startswith(f"{group}."))
    own = {key.name.removeprefix(f"{group}."): key.comment for key in keys}
    return Option(path.stem, parse_opening(text)[0], node.get("_target_"), own)
