"""What the comments of a YAML file in conf/ say: of the file at its top, of each key behind its value."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from yaml import MappingNode, Node, ScalarNode

# In C, where PyYAML was built with it: eight times as fast. Its marks count no byte order mark, which is thus never
# in a text that is given here: read files of users as "utf-8-sig".
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CommentedKey(NamedTuple):
    """A dotted key, its value in the file, and the comment behind it."""

    name: str
    value: Any
    comment: str


def parse_opening(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the comment at the top, and its example commands, each with the remark behind it."""
    sentences: list[str] = []
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
            sentences.append(line.removeprefix("# "))
    return " ".join(sentences), commands


def read_commented_keys(text: str, prefix: str = "") -> Iterator[CommentedKey]:
    """Return every key that a user may set, in the order of the file."""
    root = _compose(text)
    if not isinstance(root, MappingNode):  # an empty file
        return
    for name, node in _leaves(root, prefix):
        value = yaml.safe_load(text[node.start_mark.index : node.end_mark.index])
        yield CommentedKey(name, value, _comment(text, node))


def read_option_keys(text: str, group: str) -> Iterator[CommentedKey]:
    """Return every key that an option of the group gives, in the order of its file."""
    return read_commented_keys(text, _prefix(text, group))


def _prefix(text: str, group: str) -> str:
    """Return what is before the keys of an option's file: its group, or what `# @package` says."""
    package = re.search(r"^#\s*@package\s+(\S+)", text, re.MULTILINE)
    name = group if package is None else package[1]
    return "" if name == "_global_" else f"{name}."


def default_options(text: str) -> dict[str, CommentedKey]:
    """Return the option of each group in the defaults list, None for no option, and the comment behind it."""
    defaults = dict(_pairs(_compose(text))).get("defaults")
    choices = cast("list[Node]", defaults.value) if defaults is not None else []
    pairs = (pair for choice in choices for pair in _pairs(choice))
    return {group: CommentedKey(group, yaml.safe_load(node.value), _comment(text, node)) for group, node in pairs}


def _compose(text: str) -> Node | None:
    return cast("Node | None", yaml.compose(text, LOADER))  # pyright: ignore[reportUnknownMemberType]


def _pairs(node: Node | None) -> Iterator[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            assert isinstance(key, ScalarNode)
            yield str(key.value), value


def _leaves(node: MappingNode, prefix: str) -> Iterator[tuple[str, Node]]:
    for key, value in _pairs(node):
        if key in ("_target_", "defaults"):
            continue
        if isinstance(value, MappingNode) and not value.flow_style:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _comment(text: str, node: Node) -> str:
    """Return the comment after a value in its line."""
    rest = text[node.end_mark.index :].partition("\n")[0]
    return rest.partition("#")[2].strip()


def line_of(path: Path, key: str) -> int | None:
    """Return the number of the line in which an option's file sets the dotted `key`; None if it does not."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    prefix = _prefix(text, path.parent.name)
    if not key.startswith(prefix):
        return None
    try:
        node: Node | None = _compose(text)
    except yaml.YAMLError:
        return None
    line: int | None = None
    for part in key.removeprefix(prefix).split("."):
        pairs = {str(key.value): (key, value) for key, value in node.value} if isinstance(node, MappingNode) else {}
        if part not in pairs:
            return None
        found, node = pairs[part]
        line = found.start_mark.line + 1
    return line


def keys_in(path: Path, group: str) -> list[str]:
    """Return the keys of an option's file that belong to its group."""
    text = path.read_text(encoding="utf-8-sig")
    names = [key.name for key in read_option_keys(text, group)]
    return [name.removeprefix(f"{group}.").partition(".")[0] for name in names if name.startswith(f"{group}.")]
