"""A whole experiment in one YAML file, read as overrides, each with its line.

The file is a written command line: `optimizer.lr: 0.1` is optimizer.lr=0.1. A run records the overrides and no longer
needs the file.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from exp.config.allowlist import READ_BY_EXP
from exp.config.experiment_yaml import FileError, parse_mapping
from exp.config.overrides import override_key, text_in, text_override
from exp.config.schema import CONF, OWN_TARGET, Config
from exp.config.yaml_overrides import override_of_node, read_node

_SUFFIXES = (".yaml", ".yml")

# Names in a defaults list that are exp's own.
_OWN_DEFAULTS = ("_self_", "config", "schema")

# What other frameworks call the option of a group.
_WORDS_FOR_OPTION = ("type", "name", "option", "class")


class Entry(NamedTuple):
    """An override that a file gives, and the number of its line."""

    word: str
    line: int


@dataclass(frozen=True)
class ExperimentFile:
    """The overrides of a file, in its order, as they are meant where there are mistakes; `path` as it was typed."""

    path: str
    entries: tuple[Entry, ...]
    mistakes: tuple[FileError, ...] = ()

    def merge(self, typed: Sequence[str], multirun: bool) -> list[str]:
        """Return the overrides of the file and, after them, those of the command line, which replace the file's.

        A typed option replaces what the file says of its group. Without -m, the settings of a sweep do not count.
        """
        keys = {override_key(word) for word in typed}
        options = {override_key(word): word for word in typed if override_key(word) in GROUPS}
        own = {override_key(entry.word): entry.word for entry in self.entries}
        replaced = {group for group, word in options.items() if own.get(group, "") != word}
        counted = {
            key: word
            for key, word in own.items()
            if key.partition(".")[0] not in replaced and (multirun or not key.startswith("sweep."))
        }

        def with_plus(word: str) -> str:
            """A key that the option does not have by itself is new on the command line, too."""
            is_new = counted.get(override_key(word), "").startswith("+") and word[0] not in "+~"
            return f"+{word}" if is_new else word

        return [*(word for key, word in counted.items() if key not in keys), *map(with_plus, typed)]

    def line_of(self, word: str | None) -> int | None:
        """Return the line that gives an override; None if it is not the file's."""
        return next((entry.line for entry in self.entries if entry.word == word), None)

    def with_resolved_data_paths(self, keys: Sequence[str]) -> "ExperimentFile":
        """Return the file with the paths of data that are not in the current folder but in the file's."""
        return replace(
            self, entries=tuple(_resolve_data_path(entry, Path(self.path).parent, keys) for entry in self.entries)
        )

    def with_new_keys(self, known: Sequence[str]) -> "ExperimentFile":
        """Return the file with + before those keys of exp's that the chosen options do not have: `known` are theirs."""

        def with_plus(entry: Entry) -> Entry:
            is_new = _is_read_by_exp(entry.word) and override_key(entry.word) not in known
            return Entry(f"+{entry.word}", entry.line) if is_new else entry

        return replace(self, entries=tuple(map(with_plus, self.entries)))

    @property
    def has_keys_of_exp(self) -> bool:
        """Whether it has keys that some options do not have, although exp reads them for every target."""
        return any(_is_read_by_exp(entry.word) for entry in self.entries)


def is_experiment_file(word: str) -> bool:
    """Return whether an argument names a YAML file."""
    return "=" not in word and not word.startswith("-") and word.lower().endswith(_SUFFIXES)


def read_experiment(path: str) -> ExperimentFile:
    """Return what the file says, and its mistakes: a repeated key, a setting of Hydra's, an option in a wrong place.

    Raises:
        ConfigError: It cannot be read, or is no mapping of keys.
    """
    root, mistakes = parse_mapping(path)
    entries: list[Entry] = []
    lines: dict[str, int] = {}
    for entry in _entries(root, path):
        if isinstance(entry, FileError):
            mistakes.append(entry)
            continue
        key = override_key(entry.word)
        if key in lines and lines[key] != entry.line:
            what = f"{key} is given twice, also in line {lines[key]}"
            mistakes.append(FileError(path, entry.line, what, "one of the two lines"))
            continue
        lines[key] = entry.line
        entries.append(entry)
    return ExperimentFile(path, tuple(entries), tuple(sorted(mistakes, key=lambda mistake: mistake.line)))


GROUPS = frozenset(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
_MAPPINGS = (*GROUPS, *(name for name, field in Config.__dataclass_fields__.items() if "Config" in str(field.type)))


def _entries(root: MappingNode, path: str) -> Iterator[Entry | FileError]:
    for key_node, value in root.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key == "defaults":
            yield from _of_defaults(value, path)
        elif key in _MAPPINGS and isinstance(value, MappingNode):
            yield from _of_group(key, value, path, line)
        else:
            yield _entry(key, value, path, line)


def _of_group(group: str, node: MappingNode, path: str, line: int) -> Iterator[Entry | FileError]:
    """Yield the values of a group; with a _target_, the node replaces the whole option."""
    pairs = {str(key.value): (value, key.start_mark.line + 1) for key, value in node.value}
    for name in _options_inside(group, pairs):
        yield from _of_option_inside(group, name, *pairs.pop(name), path)
    own = ""
    if group in READ_BY_EXP and "_target_" in pairs:
        target, place = pairs.pop("_target_")
        if read_node(target) is None:  # as --cfg job prints scheduler=none
            yield Entry(f"{group}=none", line)
        else:
            yield Entry(f"{group}={OWN_TARGET}", line)
            yield _entry(f"{group}._target_", target, path, place)
            own = "+"
    for name, (value, place) in pairs.items():
        yield _entry(f"{own}{group}.{name}", value, path, place)


def _options_inside(group: str, pairs: dict[str, tuple[Node, int]]) -> list[str]:
    """Return the keys that were meant as the option, as in {adam: {lr: 0.1}} or {type: adam, lr: 0.1}."""
    options = {file.stem for file in (CONF / group).glob("*.yaml")} if group in READ_BY_EXP else set[str]()
    return [
        name
        for name, (value, _) in pairs.items()
        if (name in _WORDS_FOR_OPTION and isinstance(value, ScalarNode) and value.value in options)
        or (name in options and isinstance(value, MappingNode))
    ]


def _of_option_inside(group: str, name: str, value: Node, line: int, path: str) -> Iterator[Entry | FileError]:
    """Yield the mistake, with the lines that were meant, and what they say."""
    option = name if isinstance(value, MappingNode) else str(value.value)
    what = f"{group}.{name}: the option of a group is the value of the group"
    yield FileError(path, line, what, f"{group}: {option}, and for its keys lines such as {group}.KEY: VALUE")
    yield Entry(f"{group}={option}", line)
    if isinstance(value, MappingNode):
        yield from _of_group(group, value, path, line)


def _of_defaults(node: Node, path: str) -> Iterator[Entry | FileError]:
    """Yield the options that a defaults list as Hydra's chooses."""
    items = cast("list[Node]", node.value) if isinstance(node, SequenceNode) else [node]
    for item in items:
        line = item.start_mark.line + 1
        pairs = cast("list[tuple[Node, Node]]", item.value) if isinstance(item, MappingNode) else []
        if isinstance(item, ScalarNode) and str(item.value).lstrip("/") in _OWN_DEFAULTS:
            continue
        if isinstance(item, ScalarNode) and (CONF / "experiment" / f"{item.value}.yaml").is_file():
            yield Entry(f"experiment={item.value}", line)  # a preset that names another one
            continue
        if len(pairs) != 1 or not isinstance(pairs[0][1], ScalarNode):
            yield FileError(path, line, "defaults: each item is GROUP: OPTION", "- dataset: iris")
            continue
        key, value = pairs[0]
        group = re.sub(r"^(override|optional)\s+", "", str(key.value)).lstrip("/")
        yield _entry(group, value, path, line)


def _entry(key: str, value: Node, path: str, line: int) -> Entry | FileError:
    if key.lstrip("+~/").startswith("hydra"):
        what = f"{key}: a file cannot set Hydra's settings, which can run any code"
        fix = f"{key}=... on the command line"
        if key.startswith("hydra.sweeper") or isinstance(value, MappingNode):
            fix = "values to try as KEY: VALUE,VALUE in the file, and -m; other settings of Hydra on the command line"
        return FileError(path, line, what, fix)
    if not re.fullmatch(r"\+{0,2}[A-Za-z_][\w.]*", key):
        return FileError(path, line, f"{key!r} is not a key", "python -m exp --cfg job, which prints every key")
    return Entry(override_of_node(key, value), line)


def _is_read_by_exp(word: str) -> bool:
    group, _, name = override_key(word).partition(".")
    return not word.startswith("+") and name in READ_BY_EXP.get(group, ())


def _resolve_data_path(entry: Entry, folder: Path, keys: Sequence[str]) -> Entry:
    key, _, value = entry.word.partition("=")
    name = text_in(value)
    is_here = key not in keys or value == "null" or Path(name).expanduser().exists()
    return (
        entry if is_here or not (folder / name).exists() else Entry(text_override(key, str(folder / name)), entry.line)
    )
