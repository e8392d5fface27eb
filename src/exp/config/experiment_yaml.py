"""Parse the YAML file of an experiment into nodes, which have their lines; each mistake in it is a FileError."""

from pathlib import Path
from typing import cast

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from exp.config.nearest_names import nearest
from exp.config.overrides import shell_line
from exp.errors import ConfigError

# More values than any config has, and fewer than aliases that contain aliases can make.
_MAX_VALUES = 10_000
_MAX_DEPTH = 20

_KINDS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in _KINDS)


class FileError(ConfigError):
    """A mistake in a line of a file."""

    def __init__(self, path: str, line: int, problem: str, fix: str) -> None:
        super().__init__(f"{problem}{place(path, line)}", fix)
        self.line = line


def place(path: str, line: int) -> str:
    """Return the line of a file as errors name it."""
    lines = Path(path).expanduser().read_text(encoding="utf-8-sig", errors="replace").splitlines()
    text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return f"\n  at: {path}:{line}: {text}"


def parse_mapping(path: str) -> tuple[MappingNode, list[FileError]]:
    """Return the mapping at the top of the file, whose keys are scalars and whose tags are YAML's own, and mistakes.

    What is a mistake is not in the mapping: a repeated key, a key that is no text, a tag of Python's.

    Raises:
        ConfigError: The file cannot be read, is not YAML, has something else at its top, or is too large.
    """
    text = _read(path)
    try:
        root = cast("Node | None", yaml.compose(text, yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    except yaml.YAMLError as error:
        raise _not_yaml(path, error) from error
    except RecursionError:
        raise _too_large(path, 1) from None
    if root is None:
        raise ConfigError(f"{path}: the file is empty", "a line such as dataset: iris")
    if not isinstance(root, MappingNode):
        raise _no_mapping(path, root)
    mistakes: list[FileError] = []
    _check(root, path, [0], 0, mistakes)
    return root, mistakes


def _read(path: str) -> str:
    file = Path(path).expanduser()
    if file.is_dir():
        below = sorted(one for one in file.iterdir() if one.suffix in (".yaml", ".yml"))
        what = f"{path}: it is a folder"
        raise ConfigError(what, shell_line([str(below[0])]) if below else "the path of a YAML file")
    if not file.exists():
        others = [one.name for pattern in ("*.yaml", "*.yml") for one in file.parent.glob(pattern)]
        near = nearest(file.name, others)
        meant = shell_line([str(file.with_name(near))]) if near else "the path of a YAML file"
        raise ConfigError(f"{path}: file not found", meant)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text in UTF-8: {error.reason}", "a YAML file saved as UTF-8") from error


def _not_yaml(path: str, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or error)
    fix = "spaces in place of the tab" if "'\\t'" in said else "correct that line"
    if mark is None:
        return ConfigError(f"{path}: not YAML: {' '.join(said.split())}", fix)
    return FileError(path, mark.line + 1, f"not YAML: {said}", fix)


def _no_mapping(path: str, root: Node) -> ConfigError:
    line = root.start_mark.line + 1
    if isinstance(root, SequenceNode):
        return FileError(path, line, "a list at the top, where keys are expected", "KEY: VALUE without the dash")
    key, equals, value = str(root.value).partition(" ")[0].partition("=")
    fix = f"{key}: {value}" if equals else "KEY: VALUE, such as dataset: iris"
    return FileError(path, line, "a text at the top, where keys are expected", fix)


def _too_large(path: str, line: int) -> ConfigError:
    what = f"more than {_MAX_VALUES:,} values, or {_MAX_DEPTH} levels of them"
    return FileError(path, line, what, "a config without an alias of what is around it")


def _check(node: Node, path: str, count: list[int], depth: int, mistakes: list[FileError]) -> bool:
    """Return whether a node can be read; take out what cannot be read below it, and add it to the mistakes.

    Raises:
        ConfigError: There are too many values.
    """
    count[0] += 1
    line = node.start_mark.line + 1
    if count[0] > _MAX_VALUES or depth > _MAX_DEPTH:
        raise _too_large(path, line)
    if node.tag not in _PLAIN_TAGS:
        what = f"{node.tag.replace('tag:yaml.org,2002:', '!!')}: tags are not allowed"
        mistakes.append(FileError(path, line, what, "no tag"))
        return False
    if isinstance(node, SequenceNode):
        node.value = [item for item in node.value if _check(item, path, count, depth + 1, mistakes)]
    elif isinstance(node, MappingNode):
        seen: dict[str, tuple[int, Node]] = {}
        kept: list[tuple[Node, Node]] = []
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                mistakes.append(FileError(path, at, "a list or a mapping is no key", "KEY: VALUE"))
                continue
            name, is_new = str(key.value), True
            if name in seen and name != "<<":
                mistakes.append(_repeated(path, name, at, (seen[name][1], value), seen[name][0]))
                # An option and its values as a mapping: both can be meant.
                is_new = isinstance(seen[name][1], MappingNode) != isinstance(value, MappingNode)
            seen.setdefault(name, (at, value))
            if _check(value, path, count, depth + 1, mistakes) and is_new:
                kept.append((key, value))
        node.value = kept
        yaml.SafeLoader("").flatten_mapping(node)  # what << stands for
    return True


def _repeated(path: str, key: str, line: int, values: tuple[Node, Node], before: int) -> FileError:
    option = next((str(value.value) for value in values if isinstance(value, ScalarNode)), None)
    inside = next((value for value in values if isinstance(value, MappingNode) and value.value), None)
    fix = "one of the two lines"
    if option is not None and inside is not None:  # an option, and its values as a mapping
        fix = f"{key}: {option}, and {key}.{inside.value[0][0].value}: ..., a line for each of its values"
    return FileError(path, line, f"{key} is given twice, also in line {before}", fix)
