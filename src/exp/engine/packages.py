"""Which package code belongs to: the user's, whose state is read, or a library's."""

import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

from torch import nn

# Packages whose functions and classes keep no state that a step depends on, in contrast to their objects.
_LIBRARIES = frozenset({*["torch", "exp", "numpy", "pandas", "scipy", "sklearn"], *sys.stdlib_module_names})


def package_of(what: Any) -> str:
    """Return the package that a class, function or module belongs to."""
    name = what.__name__ if isinstance(what, ModuleType) else getattr(what, "__module__", None) or "builtins"
    return str(name).partition(".")[0]


@cache
def _is_installed(package: str) -> bool:
    """Return whether the package is where installers put packages, and not among the user's own files."""
    file = getattr(sys.modules.get(package), "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def is_code_of_library(what: Any, owners: Collection[str]) -> bool:
    """Return whether a class, function or module belongs to a package whose code is not read: it is not an owner's."""
    package = package_of(what)
    return package in _LIBRARIES or (package not in owners and _is_installed(package))


def _is_library(what: Any) -> bool:
    return package_of(what) in _LIBRARIES


def are_of_libraries(modules: Iterable[nn.Module]) -> bool:
    """Return whether the modules and their submodules call such packages only: by their classes and attributes."""
    return all(_is_library(type(one)) and not _is_users(vars(one)) for root in modules for one in root.modules())


def _is_users(value: Any) -> bool:
    """Return whether a value, or one in it, is code of the user's."""
    if isinstance(value, Mapping):
        return any(map(_is_users, cast("Mapping[Any, Any]", value).values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_is_users, cast("list[Any]", value)))
    if isinstance(value, partial):
        whole = cast("partial[Any]", value)
        return _is_users([whole.func, whole.args, whole.keywords])
    return not _is_library(value if isinstance(value, type | FunctionType | MethodType) else type(value))
