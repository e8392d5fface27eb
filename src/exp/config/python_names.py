"""The names that overrides have of objects that came from Python, and the calls that such overrides are of."""

import json
from collections.abc import Sequence

# No path of a file begins so: a folder of that name is written as ./python:
PREFIX = "python:"


def is_held(path: str) -> bool:
    """Return whether `path` stands for rows from Python."""
    return path.startswith(PREFIX)


def called_in_python(path: str) -> str:
    """Return the argument of `train` that the rows probably were."""
    return "df" if kind_of(path) == "DataFrame" else "(x, y)"


def python_call(function: str, overrides: Sequence[str]) -> str:
    """Return the call of `train` or `sweep` with these overrides; objects are what they probably were."""
    rows, module = find_names(overrides)
    dropped = (*(("dataset=table", "dataset=arrays") if rows else ()), *(("model=python:module",) if module else ()))
    words = [
        json.dumps(word, ensure_ascii=False)
        for word in overrides
        if word not in dropped and not (rows and word.startswith("dataset.path=")) and word != f"model.name={module}"
    ]
    arguments = [*([called_in_python(rows)] if rows else []), *words]
    if module:
        arguments.append(f"model={module.partition(':')[0]}(...)")
    return f"{function}({', '.join(arguments)})"


def find_names(overrides: Sequence[str]) -> tuple[str, str]:
    """Return what the overrides call rows and a module that came from Python; "" for none."""
    given = {word.partition("=")[0]: word.partition("=")[2].strip("'\"") for word in overrides}
    path, module = given.get("dataset.path", ""), given.get("model") == "python:module"
    return path if is_held(path) else "", given.get("model.name", "") if module else ""


def kind_of(path: str) -> str:
    """Return the kind of the rows: DataFrame or arrays."""
    return path.removeprefix(PREFIX).partition(":")[0]
