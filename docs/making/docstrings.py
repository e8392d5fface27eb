"""What a function or class says of itself and its arguments, in words without markup.

torch writes its docstrings in Google's way, `name (type): text`, scikit-learn in numpy's, `name : type` and the text
below.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]

_WORDS = {"str": "text", "None": "null", "bool": "true or false", "int": "a whole number", "float": "a number"}


def summary(function: Function) -> str:
    """The first sentence."""
    return _sentence((inspect.getdoc(function) or "").partition("\n\n")[0])


def argument(function: Function | None, name: str) -> str:
    """What the docstring says of that argument, as far as its first sentence; nothing where it says nothing."""
    text = inspect.getdoc(function) or "" if function else ""
    google = re.search(rf"^ +{name}(?: \(.*?\))?: (.*(?:\n {{5,}}.*)*)", text, re.MULTILINE)
    numpys = re.search(rf"^{name} : .*\n((?: +.*\n?)+)", text, re.MULTILINE)
    found = google or numpys
    return _sentence(found[1]) if found else ""


def annotation(function: Function | None, name: str) -> str:
    """What the signature says that argument may be."""
    found = inspect.signature(function).parameters.get(name) if function else None
    if found is None or found.annotation is inspect.Parameter.empty:
        return ""
    kind = found.annotation
    return plain_type(kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind)))


def is_typed(function: Function, name: str) -> bool:
    """Whether that argument is one to type: told of, no tensor, and not one of yesterday's."""
    kind, said = str(inspect.signature(function).parameters[name].annotation), argument(function, name)
    return bool(said) and not said.startswith("Deprecated") and ("Tensor" not in kind or "float" in kind)


def plain_type(kind: str) -> str:
    """A type in words; nothing for one that words would make longer."""
    parts = kind.split(" | ")
    return ", or ".join(_WORDS[part] for part in parts) if all(part in _WORDS for part in parts) else ""


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = re.sub(r":\w+:`~?\.?([^`]*)`", r"\1", text)  # :class:`Linear`
    text = re.sub(r"``?([^`]*)``?", r"\1", text)
    text = re.sub(r",? \(?[Dd]efault:.*$", "", text)
    return re.split(r"(?<=[a-z)])\. (?=[A-Z])", text)[0].rstrip(". ")
