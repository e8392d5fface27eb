"""Read Python objects into values that can be compared: what they refer to, and their random states."""

import pickle
import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache, partial
from io import IOBase
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exp.engine.packages import is_code_of_library

_PLAIN = (int, float, complex, str, bytes, bool, type(None))

# Containers whose items are read.
_COLLECTIONS = (list, tuple, set, frozenset, deque)

# What an attribute of a library's module, such as os.environ, may be to be read.
_DATA = (*_PLAIN, *_COLLECTIONS, Mapping, bytearray)

_CachedFunction: Any = type(lru_cache(len))
_EMPTY_CELL = CellType()  # equals other empty cells, whose contents cannot be read


class _Same:
    """Equals itself and what has the same object, which it keeps alive, so that no other one gets its address."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]  # equality without a hash: it is never a key


class ObjectReader:
    """Reads what to compare: plain values, the items of containers, the attributes of the user's objects.

    Args:
        owners: The packages of the model. Of other installed packages, objects are read, but not their code.

    Attributes:
        state: Class attributes and global variables that were found on the way.
    """

    def __init__(self, owners: Iterable[str] = ()) -> None:
        self._owners = frozenset(owners)
        self.state: dict[str, object] = {}
        self._seen: dict[int, tuple[int, object]] = {}

    def read(self, value: Any) -> object:
        if type(value) in _PLAIN:
            return type(value).__name__, value
        if isinstance(value, Tensor):  # a trace shows what is written into it, but not its attributes
            return [_Same(value), self.read(vars(value))] if vars(value) else _Same(value)
        if isinstance(value, type):
            self.read_class(value)
            return _Same(value)
        if id(value) in self._seen:
            return self._seen[id(value)][0]
        self._seen[id(value)] = len(self._seen), value
        if isinstance(value, ModuleType):
            self._read_module(value)
            return _Same(value)
        if isinstance(value, FunctionType | MethodType | partial | _CachedFunction):
            return self._read_function(value)
        if isinstance(value, ContextVar):
            return self.read(cast("ContextVar[Any]", value).get(None))
        random_state = _random_state(value)
        if random_state is not None:
            return random_state
        contents = self._read_contents(value)
        if contents is None and isinstance(value, Iterator):
            return _position(cast("Iterator[Any]", value))
        if contents is None and self._is_library(type(value)) and not isinstance(value, nn.Module):
            return self._read_library_object(value)
        return [contents or _Same(value), self._read_attributes(value)]

    def _read_contents(self, value: Any) -> list[object] | None:
        """Return what the value holds besides its attributes; None: nothing."""
        if isinstance(value, _PLAIN):  # of a class of its own
            return [type(value), value]
        if isinstance(value, Mapping):
            items = cast("Mapping[Any, Any]", value).items()
            return [Mapping, *((self.read(key), self.read(item)) for key, item in items)]
        if isinstance(value, _COLLECTIONS):
            collection = cast("list[Any]", value)
            return [type(collection), *map(self.read, collection)]
        if isinstance(value, np.ndarray | np.generic):
            array: NDArray[Any] = np.asarray(cast(Any, value))
            held = self.read(array.tolist()) if array.dtype.hasobject else array.tobytes()
            return [array.shape, array.dtype, held]
        try:
            return [type(value), memoryview(value).tobytes()]  # bytearray, array, ctypes
        except (TypeError, NotImplementedError, BufferError):
            return None

    def _read_attributes(self, value: object) -> object:
        names = [name for cls in type(value).__mro__ for name in _as_names(vars(cls).get("__slots__", ()))]
        slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
        self.read_class(type(value))
        attributes = {**getattr(value, "__dict__", {}), **slots}
        return self.read(attributes) if attributes else None

    def _read_library_object(self, value: Any) -> object:
        """Read what it would be pickled as: all that it keeps, in contrast to locks and open files."""
        reduced: Any
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # it cannot be pickled
            reduced = (None, getattr(value, "__dict__", None))
        if isinstance(reduced, str):
            return _Same(value)
        parts = cast("tuple[Any, ...]", reduced)
        return [self.read([*cast("Iterator[Any]", part)] if isinstance(part, Iterator) else part) for part in parts]

    def read_class(self, cls: type) -> None:
        """Read the attributes and methods of a class of the user's, and of those it derives from."""
        for one in cls.__mro__:
            if self._is_library(one) or id(one) in self._seen:
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
            return [self.read(part) for part in (whole.func, whole.args, whole.keywords, vars(whole))]
        if isinstance(function, _CachedFunction):  # a call of it may be a call of the other
            return function.cache_info().misses, self.read(function.__wrapped__)
        if self._is_library(function):
            return _Same(function)
        space, names = function.__globals__, set(_names(function.__code__))
        if "globals" in names:  # any of them may be in use
            names |= _variables(space)
        self._read_globals(space, names, function.__module__)
        cells = [cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY_CELL]
        parts: list[Any] = [cells, function.__defaults__, function.__kwdefaults__, vars(function)]
        return [_Same(function), *map(self.read, parts)]

    def _read_module(self, module: ModuleType) -> None:
        """Read the variables of a module of the user's that is a value itself, so that any of them may be in use."""
        if not self._is_library(module):
            self._read_globals(vars(module), _variables(vars(module)), module.__name__)

    def _read_globals(self, space: Mapping[str, Any], names: Iterable[str], module: str) -> None:
        for name in names:
            value, key = space.get(name), f"the global variable {name}, {module}"
            if isinstance(value, ModuleType):
                others = [one for one in names if one != name]
                if self._is_library(value):
                    self._read_library_module(value, others)
                else:
                    self._read_globals(vars(value), others, value.__name__)
            elif name in space and key not in self.state:
                self.state[key] = None  # against endless recursion
                self.state[key] = self.read(value)

    def _is_library(self, what: Any) -> bool:
        return is_code_of_library(what, self._owners)

    def _read_library_module(self, module: ModuleType, names: Iterable[str]) -> None:
        """Read the variables of these names that are data, such as os.environ."""
        for name in names:
            value, key = vars(module).get(name), f"{name} of the module {module.__name__}"
            if isinstance(value, _DATA) and value is not sys.modules and key not in self.state:
                self.state[key] = self.read(value)


def _position(iterator: Iterator[Any]) -> object:
    """Return what shows where an iterator is: a number for a file that is read; that of others cannot be seen."""
    try:
        if isinstance(iterator, IOBase):
            return iterator.tell() if iterator.readable() else _Same(iterator)
    except (OSError, ValueError):  # of a pipe, in the middle of a line, or closed
        pass
    return object()  # it equals nothing


def _random_state(value: Any) -> object:
    """Return the state of a random generator; None: it is something else."""
    if isinstance(value, np.random.Generator | np.random.RandomState | random.Random):
        return pickle.dumps(value)
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    return None


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that the code and the functions in it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _variables(space: Mapping[str, Any]) -> set[str]:
    return {name for name in space if not name.startswith("__")}


def _as_names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)
