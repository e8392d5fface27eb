"""Values of a YAML file as overrides: a plain value means what it means on the command line, a quoted one is a text."""

import json
import math
from typing import Any, cast

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from exp.config.overrides import TEXTS, escape_marks, is_sweep, quote_text, quote_with_interpolations, reads_as

_NULLS = ("", "~", "null", "Null", "NULL")
_NUMBERS = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


def override_of_node(key: str, node: Node) -> str:
    """Return the override that sets `key` to a value of a YAML file.

    A plain value with commas, or a call such as range(0,5), has several values, as on the command line.
    """
    if isinstance(node, ScalarNode) and node.style is None and key not in TEXTS and is_sweep(f"key={node.value}"):
        return f"{key}={node.value}"
    value = read_node(node)
    if isinstance(value, bool | int | float) and isinstance(node, ScalarNode) and str(node.value) not in _NUMBERS:
        return f"{key}={node.value}"  # as it was written: 1e-3
    return f"{key}={text_of(value)}"


def read_node(node: Node) -> Any:
    """Return the value of a node. Words such as yes, no, on and off, and dates, are texts."""
    if isinstance(node, MappingNode):
        return {_read_key(key): read_node(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [read_node(item) for item in cast("list[Node]", node.value)]
    text = str(node.value)
    if cast("ScalarNode", node).style is not None:
        return text
    if text in _NULLS:
        return None
    if text in _NUMBERS:
        return _NUMBERS[text]
    value = reads_as(text)
    return value if isinstance(value, bool | int | float) else text


def _read_key(node: Node) -> str | int:
    """Return a key of a mapping, which is a number where it is written as one."""
    key = read_node(node)
    return key if isinstance(key, int) and not isinstance(key, bool) else str(node.value)


def text_of(value: Any, inside: bool = False) -> str:
    """Return a value as it is typed; `inside`: in a list or a mapping."""
    if isinstance(value, str):
        if "${" in value:
            return quote_with_interpolations(value)
        return quote_text(value) if not inside or reads_as(f"[{value}]") != [value] else value
    if isinstance(value, list):
        return f"[{','.join(text_of(item, inside=True) for item in cast('list[Any]', value))}]"
    if isinstance(value, dict):
        items = cast("dict[str | int, Any]", value)
        for typed in (str, escape_marks):  # Hydra has no quotes for the keys
            text = f"{{{', '.join(f'{typed(str(key))}: {text_of(item, inside=True)}' for key, item in items.items())}}}"
            if reads_as(text) == value:
                return text
        return _created(items)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _created(value: dict[str | int, Any]) -> str:
    """Return a mapping whose keys cannot be typed, such as those with a quote, by the resolver that reads its YAML."""
    return quote_with_interpolations(f"${{oc.create:'{_flow(value)}'}}")


def _flow(value: Any) -> str:
    """Return a value as YAML in one line, without single quotes."""
    if isinstance(value, dict):
        items = cast("dict[str | int, Any]", value).items()
        return f"{{{', '.join(f'{_flow(key)}: {_flow(item)}' for key, item in items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, cast('list[Any]', value)))}]"
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return json.dumps(value, ensure_ascii=False).replace("'", "\\u0027")
