"""Read the docstrings of functions and classes as plain text.

torch uses Google's style, `name (type): text`. scikit-learn uses numpy's, `name : type` with the text below.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]

_TYPE_NAMES = {"str": "text", "None": "null", "bool": "true or false", "int": "an integer", "float": "a number"}


def read_summary(function: Function) -> str:
    """Return the first sentence of the docstring."""
    return _first_sentence((inspect.getdoc(function) or "").partition("\n\n")[0])


def read_argument(function: Function | None, name: str) -> str:
    """Return the first sentence on the argument `name`; "" if the docstring has none."""
    text = inspect.getdoc(function) or "" if function else ""
    google = re.search(rf"^ +{name}(?: \(.*?\))?: (.*(?:\n {{5,}}.*)*)", text, re.MULTILINE)
    numpys = re.search(rf"^{name} : .*\n((?: +.*\n?)+)", text, re.MULTILINE)
    match = google or numpys
    return _first_sentence(match[1]) if match else ""


def read_annotation(function: Function | None, name: str) -> str:
    """Return the type of the argument `name` in words; "" if the signature has none."""
    parameter = inspect.signature(function).parameters.get(name) if function else None
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return ""
    kind = parameter.annotation
    return describe_type(kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind)))


def is_configurable(function: Function, name: str) -> bool:
    """Return whether a config can set the argument: documented, not deprecated, and not a tensor."""
    kind, text = str(inspect.signature(function).parameters[name].annotation), read_argument(function, name)
    return bool(text) and not text.startswith("Deprecated") and ("Tensor" not in kind or "float" in kind)


def describe_type(kind: str) -> str:
    """Return an annotation in words; "" for any but unions of simple types."""
    parts = kind.split(" | ")
    return ", or ".join(_TYPE_NAMES[part] for part in parts) if all(part in _TYPE_NAMES for part in parts) else ""


def _first_sentence(text: str) -> str:
    text = " ".join(text.split())
    text = re.sub(r":\w+:`~?\.?([^`]*)`", r"\1", text)  # :class:`Linear`
    text = re.sub(r"``?([^`]*)``?", r"\1", text)
    text = re.sub(r",? \(?[Dd]efault:.*$", "", text)
    return re.split(r"(?<=[a-z)])\. (?=[A-Z])", text)[0].rstrip(". ")
