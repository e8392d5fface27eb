"""Overrides as text: KEY=VALUE that Hydra reads as the value that is meant, and a shell as one word."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config.python_names import find_names, python_call
from exp.errors import ConfigError, as_yaml

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Keys whose values are any words, never several values, and keys whose value may be a comma or a semicolon.
TEXTS = ("name", "notes")
_MARKS = ("dataset.decimal", "dataset.separator")


def override_key(word: str) -> str:
    """Return the key of an override, without + or ~ before it or a package behind it."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]


def text_override(key: str, text: str) -> str:
    """Return the override that sets `key` to `text`, in quotes if Hydra needs them."""
    return f"{key}={quote_text(text)}"


def as_text(word: str) -> str:
    """Return an override of a key that any words, or any mark, are a value of, in quotes if Hydra needs them."""
    key, _, value = word.partition("=")
    is_text = key in TEXTS or (key in _MARKS and len(value.strip()) == 1)
    if not is_text or not value.strip() or value[0] in "'\"" or value.lower() == "null" or "${" in value:
        return word
    return word if reads_as(value) is not None else text_override(key, value)


def option_names(choices: Mapping[str, str], overrides: Iterable[str]) -> dict[str, str]:
    """Return what each group of `choices` is called: its option, or the class or function that replaces its target."""
    names = dict(choices)
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        group, _, last = key.rpartition(".")
        if last == "_target_" and group in names:
            names[group] = value.strip("'\"").rpartition(".")[2]
    return names


def quote_text(text: str) -> str:
    """Return `text` as a value on the command line: in double quotes if Hydra reads it as something else without."""
    return text if reads_as(text) == text else _quote(text)


def quote_with_interpolations(text: str) -> str:
    """Return `text` as a value on the command line, in double quotes; ${...} in it refers to a key."""
    escaped = ""
    for part in text.split('"'):
        slashes = len(part) - len(part.rstrip("\\"))
        escaped += part + "\\" * slashes + '\\"'
    return f'"{escaped[:-2]}"'


def quote_names(names: Iterable[str]) -> str:
    """Return a list of names as a value on the command line."""
    return f"[{','.join(name if reads_as(f'[{name}]') == [name] else _quote(name) for name in names)}]"


def value_override(value: object) -> str:
    """Return a value from Python as it is typed on the command line: {yes: 3}, [a,"b, c"].

    A text in a list or a mapping is in quotes if Hydra reads neither it nor a number.

    Raises:
        ConfigError: A key of a mapping cannot be typed.
    """
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return f"{{{', '.join(f'{_mapping_key(key)}: {_item(one)}' for key, one in items)}}}"
    if isinstance(value, list | tuple | range):
        return f"[{','.join(map(_item, cast('Iterable[object]', value)))}]"
    return as_yaml(value)


def _item(value: object) -> str:
    if not isinstance(value, str):
        return value_override(value)
    read = reads_as(f"[{value}]")
    is_number = isinstance(read, list) and [type(one) for one in cast("list[object]", read)] in ([int], [float])
    return value if is_number or read == [value] else _quote(value)


def _mapping_key(key: object) -> str:
    """Return the key of a mapping as Hydra reads it, in quotes if only exp does: a text true would be a boolean."""
    text = as_yaml(key)
    for typed in (text, escape_marks(text)):
        read = reads_as(f"{{{typed}: 1}}")
        found: list[object] = [*cast("dict[object, object]", read)] if isinstance(read, dict) else []
        if found == [key] or (isinstance(key, str) and [str(one) for one in found] == [key]):
            return typed
    if isinstance(key, str) and "${" not in key:
        return _quote(key)  # exp.config.flow_values reads it
    raise ConfigError(f"{key!r}: no override can have such a key", "a YAML file with the mapping")


def escape_marks(key: str) -> str:
    """Return the key of a mapping with a backslash before each mark that ends it in Hydra's grammar."""
    return re.sub(r"([\\()\[\]{}:=,])", r"\\\1", key)


def column_override(key: str, name: str, value: str) -> str:
    """Return what sets `key` to `value` for one column, in quotes for a shell: 'dataset.kinds={zip: category}'.

    For a name with an interpolation, it is what a YAML file holds.
    """
    with suppress(ConfigError):
        return shlex.quote(f"{key}={value_override({name: value})}")
    group, _, last = key.partition(".")
    return f"in a YAML file: {group}: {{{last}: {{{json.dumps(name, ensure_ascii=False)}: {value}}}}}"


def range_override(key: str, value: str) -> str | None:
    """Return the values of a sweep that 1-3, 1..3 or 1:3 means, key=range(1,4); None for other text."""
    match = re.fullmatch(r"(\d+)(?:-|\.\.+|:)(\d+)", value)
    return f"{key}=range({match[1]},{int(match[2]) + 1})" if match and int(match[1]) < int(match[2]) else None


def parse_override(word: str) -> "Override | None":
    """Return an override as Hydra parses it; None if it is not in Hydra's grammar.

    Hydra is imported when this is called first: it takes 0.1 s, and a worker of a sweep calls this for errors only.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def is_sweep(word: str) -> bool:
    """Return whether an override has several values, or a range of them: key=a,b or key=range(0,5)."""
    override = parse_override(word)
    return override is not None and override.is_sweep_override()


def reads_as(value: str) -> object:
    """Return what a key is set to by that value on the command line; None if it is no single value."""
    override = parse_override(f"key={value}")
    if override is None or override.is_sweep_override():
        return None
    try:
        config = OmegaConf.create({"key": override.value()})
        return cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))["key"]
    except OmegaConfBaseException:
        return None


def text_in(value: str) -> str:
    """Return the text that a key is set to by that value on the command line: without the quotes that Hydra needs."""
    text = reads_as(value)
    return text if isinstance(text, str) else value.strip("'\"")


def without_escapes(word: str) -> str:
    """Return an override of a sweep's job without the backslashes that Hydra puts before colons: device=cuda:0."""
    key, equals, value = word.partition("=")
    plain = value.replace("\\:", ":")
    return word if plain == value or reads_as(plain) != reads_as(value) else f"{key}{equals}{plain}"


def escape_interpolations(text: str) -> str:
    """Return `text` with backslashes before each ${, which OmegaConf would replace by the value of a key."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def shell_line(words: Iterable[str]) -> str:
    """Return the command line `python -m exp` with these arguments, quoted for a shell.

    It is a call of `train` or `sweep` if the arguments name objects of Python, which a command line does not have.
    """
    words = [*words]
    if any(find_names(words)):
        return python_call("sweep" if "-m" in words else "train", [word for word in words if word != "-m"])
    return shlex.join(["python", "-m", "exp", *words])


def _quote(text: str) -> str:
    # Backslashes are special before ${, which would refer to a key, before a quote, and at the end.
    return quote_with_interpolations(escape_interpolations(text))


def escape_values(value: Any) -> Any:
    """Return values whose text OmegaConf reads as it is: ${ would refer to a key."""
    if isinstance(value, dict):
        return {key: escape_values(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [escape_values(item) for item in cast("list[Any]", value)]
    return escape_interpolations(value) if isinstance(value, str) else value
