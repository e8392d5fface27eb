"""Let OmegaConf copy, merge and read configs in half its time, with the same result, in the processes of the tests.

A third of the tests' time was spent there: in checks of types, in imports within functions, in copies and in YAML.
tests/config/test_every_yaml.py compares the results with those of OmegaConf itself.
"""

import ast
import copy
import importlib
import inspect
import io
import textwrap
from abc import ABCMeta
from collections import defaultdict
from types import CodeType
from typing import Any

import yaml
from omegaconf import _utils, basecontainer, dictconfig, listconfig, omegaconf, read_write
from omegaconf._utils import get_yaml_loader, is_structured_config
from omegaconf.base import Box, Container, Metadata, Node
from omegaconf.basecontainer import BaseContainer
from omegaconf.nodes import AnyNode, BooleanNode, FloatNode, IntegerNode, StringNode, ValueNode
from yaml.cyaml import CParser

# Types whose instances are copies of themselves, and types whose instances are no structured configs.
_PLAIN = {type(None), bool, int, float, str, bytes}
_UNSTRUCTURED = _PLAIN | {list, dict}


class _NodeType(ABCMeta):
    """The type of OmegaConf's classes, none of which has virtual subclasses, which ABCMeta looks for in each check."""


def set_types() -> None:
    pending: list[Any] = [Node]
    while pending:
        one = pending.pop()
        one.__class__ = _NodeType
        pending += one.__subclasses__()


def _without_imports(function: Any) -> CodeType:
    """Return the code of the function without the imports of OmegaConf at its start: the module has the names."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    names = function.__globals__
    for line in [line for line in definition.body if isinstance(line, ast.ImportFrom)]:
        module = importlib.import_module("." * line.level + (line.module or ""), names["__package__"])
        for name in line.names:
            assert names.setdefault(name.name, getattr(module, name.name)) is getattr(module, name.name)
        definition.body.remove(line)
    compiled = compile(ast.Module([definition], []), inspect.getfile(function), "exec")
    return next(code for code in compiled.co_consts if isinstance(code, CodeType))


def _is_structured_config(obj: Any) -> bool:
    return not (obj is Any or type(obj) in _UNSTRUCTURED or isinstance(obj, Node)) and is_structured_config(obj)


def _initialize(self: ValueNode, parent: Box | None, value: Any, metadata: Metadata) -> None:
    """Set the value without a context that suspends read-only, which hardly any new value is."""
    Node.__init__(self, parent=parent, metadata=metadata)
    if self._get_flag("readonly"):
        with read_write(self):
            self._set_value(value)
    else:
        self._set_value(value)
    self.__dict__["_flags_cache"] = None


def _copy_metadata(self: Metadata, memo: dict[int, Any]) -> Metadata:
    copied = object.__new__(type(self))
    for name, value in self.__dict__.items():
        if type(value) is defaultdict and not value:
            value = defaultdict(value.default_factory)
        elif not (type(value) in _PLAIN or isinstance(value, type)):
            value = copy.deepcopy(value, memo)
        copied.__dict__[name] = value
    return copied


def _copy_value(self: ValueNode, memo: dict[int, Any]) -> ValueNode:
    copied = object.__new__(type(self))
    copied.__dict__["_flags_cache"] = None
    self._deepcopy_impl(copied, memo)
    return copied


class Loader:
    """Read YAML in C, and again in Python if there is an error, which it describes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._text = stream if isinstance(stream, str | bytes) else stream.read()

    def get_single_data(self) -> Any:
        try:
            return self._read(_InC(self._text))
        except yaml.YAMLError:
            if self._stream is self._text:
                return self._read(_in_python(self._text))
            again = io.StringIO(self._text) if isinstance(self._text, str) else io.BytesIO(self._text)
            again.name = getattr(self._stream, "name", "<file>")  # which the message has
            return self._read(_in_python(again))

    @staticmethod
    def _read(loader: Any) -> Any:
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()

    def dispose(self) -> None:
        pass


_in_python = get_yaml_loader()


class _InC(CParser, _in_python):
    def __init__(self, stream: Any) -> None:
        CParser.__init__(self, stream)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


# What is changed: where, its name, and ours.
CHANGES: list[tuple[Any, str, Any]] = [
    *(
        (function, "__code__", _without_imports(function))
        for function in (
            _utils._get_value,
            _utils._is_interpolation,
            _utils._is_missing_value,
            _utils._is_none,
            Box._re_parent,
            Container._invalidate_flags_cache,
            BaseContainer.__setstate__,
            BaseContainer._map_merge,
            BaseContainer._merge_with,
            BaseContainer._set_item_impl,
        )
    ),
    *((kind, "__deepcopy__", _copy_value) for kind in (AnyNode, BooleanNode, FloatNode, IntegerNode, StringNode)),
    (Metadata, "__deepcopy__", _copy_metadata),
    (ValueNode, "__init__", _initialize),
    (_NodeType, "__instancecheck__", type.__instancecheck__),
    *(
        (module, "is_structured_config", _is_structured_config)
        for module in (_utils, basecontainer, dictconfig, listconfig, omegaconf)
    ),
    *((module, "get_yaml_loader", lambda: Loader) for module in (_utils, basecontainer)),
]
