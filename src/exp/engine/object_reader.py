"""Read Python objects into values that can be compared: what they refer to, and their random states."""

import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN = (int, float, complex, str, bytes, bool, type(None))

# Packages whose functions and classes keep no state that a step depends on.
_LIBRARIES = frozenset({*["torch", "exp", "numpy", "pandas", "scipy", "sklearn"], *sys.stdlib_module_names})


def comparable(state: Any) -> object:
    """Replace arrays in nested dicts by their bytes."""
    if isinstance(state, dict):
        return {key: comparable(value) for key, value in cast("dict[str, Any]", state).items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state  # pyright: ignore[reportUnknownMemberType]


class _Same:
    """Equals itself and what has the same object, which it keeps alive, so that no other one gets its address."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]  # equality without a hash: it is never a key


class ObjectReader:
    """Reads what to compare: plain values, the items of containers, the attributes of the user's objects.

    Attributes:
        state: Class attributes and global variables that were found on the way.
    """

    def __init__(self) -> None:
        self.state: dict[str, object] = {}
        self._seen: dict[int, tuple[int, object]] = {}

    def read(self, value: Any) -> object:
        if isinstance(value, _PLAIN):
            return type(value), value
        if isinstance(value, Tensor):  # a trace shows what is written into it, but not its attributes
            return [_Same(value), self.read(vars(value))] if vars(value) else _Same(value)
        if isinstance(value, type):
            self.read_class(value)
            return _Same(value)
        if id(value) in self._seen:
            return self._seen[id(value)][0]
        self._seen[id(value)] = len(self._seen), value
        if isinstance(value, Mapping):
            return [(self.read(key), self.read(item)) for key, item in cast("Mapping[Any, Any]", value).items()]
        if isinstance(value, list | tuple | set | frozenset | deque):
            items = cast("list[Any]", value)
            return [type(items), *map(self.read, items)]
        random_state = _random_state(value)
        if random_state is not None:
            return random_state
        if isinstance(value, np.ndarray):
            return value.shape, value.tobytes()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(value, Iterator):
            return object()  # its position cannot be seen, so it equals nothing
        if isinstance(value, FunctionType | MethodType | partial):
            return self._read_function(value)
        return [_Same(value), self._read_attributes(value)]

    def _read_attributes(self, value: object) -> object:
        if is_library(type(value)) and not isinstance(value, nn.Module):
            return None
        names = [name for cls in type(value).__mro__ for name in _as_names(vars(cls).get("__slots__", ()))]
        slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
        self.read_class(type(value))
        return self.read({**getattr(value, "__dict__", {}), **slots})

    def read_class(self, cls: type) -> None:
        """Read the attributes and methods of a class of the user's, and of those it derives from."""
        for one in cls.__mro__:
            if is_library(one) or id(one) in self._seen:
                continue
            self._seen[id(one)] = len(self._seen), one
            for name, value in vars(one).items():
                if not name.startswith("__") or isinstance(value, FunctionType):
                    function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                    self.state[f"{name} of {one.__name__}, {id(one):x}"] = self.read(function)

    def _read_function(self, function: Any) -> object:
        if isinstance(function, MethodType):
            return self.read(function.__self__), self.read(function.__func__)
        if isinstance(function, partial):
            whole = cast("partial[Any]", function)
            return self.read(whole.func), self.read(whole.args), self.read(whole.keywords)
        if is_library(function):
            return _Same(function)
        space, names = function.__globals__, set(_names(function.__code__))
        self._read_globals(space, names, function.__module__)
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        return [_Same(function), *map(self.read, (cells, function.__defaults__, function.__kwdefaults__))]

    def _read_globals(self, space: Mapping[str, Any], names: Iterable[str], module: str) -> None:
        for name in names:
            value, key = space.get(name), f"the global variable {name}, {module}"
            if isinstance(value, ModuleType):
                if not is_library(value):
                    self._read_globals(vars(value), [one for one in names if one != name], value.__name__)
            elif name in space and key not in self.state:
                self.state[key] = None  # against endless recursion
                self.state[key] = self.read(value)


def _random_state(value: Any) -> object:
    """Return the state of a random generator; None: it is something else."""
    if isinstance(value, np.random.Generator):
        return comparable(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return comparable(value.get_state(legacy=False))
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    return None


def is_library(what: Any) -> bool:
    """Return whether a class, function or module belongs to a package whose code keeps no state of a step."""
    name = what.__name__ if isinstance(what, ModuleType) else getattr(what, "__module__", None) or "builtins"
    return str(name).partition(".")[0] in _LIBRARIES


def are_of_libraries(modules: Iterable[nn.Module]) -> bool:
    """Return whether the modules and their submodules call such packages only: by their classes and attributes."""
    return all(is_library(type(one)) and not _is_users(vars(one)) for root in modules for one in root.modules())


def _is_users(value: Any) -> bool:
    """Return whether a value, or one in it, is code of the user's."""
    if isinstance(value, Mapping):
        return any(map(_is_users, cast("Mapping[Any, Any]", value).values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(_is_users, cast("list[Any]", value)))
    if isinstance(value, partial):
        whole = cast("partial[Any]", value)
        return _is_users([whole.func, whole.args, whole.keywords])
    return not is_library(value if isinstance(value, type | FunctionType | MethodType) else type(value))


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that the code and the functions in it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _as_names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # raises if the cell is empty
    except ValueError:
        return False
    return True
