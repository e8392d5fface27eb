"""A module that a caller in Python made. A run names it by a fingerprint, and trains a copy of it."""

import copy
import hashlib
import inspect
import re
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Holder:
    """A copy of the caller's module, which runs find by `name` as long as someone refers to this object.

    Raises:
        ValueError: The module cannot be copied, or has parameters without a shape.
    """

    def __init__(self, module: nn.Module) -> None:
        if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
            raise ValueError("it has lazy layers, whose parameters have no shape before their first input")
        try:
            self.module = copy.deepcopy(module)
        except Exception as error:
            raise ValueError(f"it cannot be copied: {error}") from error
        self.kind = type(module).__name__
        self.structure, self.state = fingerprint(module)
        self.name = f"{self.kind}:{self.structure}:{self.state}"


_held: WeakValueDictionary[str, Holder] = WeakValueDictionary()

# By the names of earlier runs: modules of equal structure and other parameters, which a checkpoint replaces.
_alike: WeakValueDictionary[str, Holder] = WeakValueDictionary()


def hold(holder: Holder) -> Holder:
    """Make the module available by its name. The earlier one of an equal module, if it is still in use."""
    return _held.setdefault(holder.name, holder)


def hold_as(name: str, holder: Holder) -> Holder:
    """Make the module available by the `name` that an earlier run, whose parameters it gets, has of its own."""
    return _alike.setdefault(name, holder)


def find(name: str) -> nn.Module | None:
    """Return the module of that name; None if it is not in this process."""
    holder = _held.get(name) or _alike.get(name)
    return None if holder is None else holder.module


class HeldModule(nn.Module):
    """The module of that name: making one returns a copy of the caller's module, of the caller's class.

    Args:
        in_features: Number of features, which the module must take.
        out_features: Number of outputs, which the module must return.
        name: The name of its holder.
        shape: Shape of a row that is a sequence [T, C] or an image [C, H, W], which the module gets in this shape.
    """

    def __init__(self, in_features: int, out_features: int, name: str, shape: tuple[int, ...] = ()) -> None:
        raise NotImplementedError  # __new__ returns an object of another class

    def __new__(cls, in_features: int, out_features: int, name: str, shape: tuple[int, ...] = ()) -> Any:  # noqa: ARG004
        module = copy.deepcopy(find(name))
        assert module is not None
        if len(shape) > 1:
            module.register_forward_pre_hook(InShape(shape))
        return module


class InShape:
    """A hook that gives the module sequences or images, which exp has as vectors [N, F], in the shape of a row."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG002
        return (inputs[0].reshape(-1, *self.shape), *inputs[1:])


def fingerprint(module: nn.Module) -> tuple[str, str]:
    """Return hashes of 16 digits: of the module's source, settings and shapes; and of its parameters and buffers."""
    structure, state = hashlib.sha256(), hashlib.sha256()
    parts = cast("Iterator[tuple[str, nn.Module]]", module.named_modules())
    for name, part in parts:
        described = "|".join((name, type(part).__qualname__, *_settings(part), *_sources(type(part))))
        structure.update(re.sub(r" at 0x[0-9a-f]+", "", described).encode() + b"\0")
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        structure.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad}".encode())
        state.update(tensor.detach().cpu().contiguous().unsqueeze(-1).view(torch.uint8).numpy().tobytes())
    return structure.hexdigest()[:16], state.hexdigest()[:16]


def _is_torchs(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "torch"


def _settings(part: nn.Module) -> Iterator[str]:
    """Yield the attributes that are plain values or functions, such as the probability of a dropout."""
    for name, value in sorted(vars(part).items()):
        if name.startswith("_") or name == "training":
            continue
        if value is None or isinstance(value, int | float | complex | str | bytes | tuple | list | dict | torch.dtype):
            yield f"{name}={value!r}"
        elif isinstance(value, FunctionType):
            yield f"{name}={_source(value)}"
        elif isinstance(value, BuiltinFunctionType):
            yield f"{name}={value.__qualname__}"
        else:
            yield f"{name}: {type(value).__qualname__}"


def _sources(kind: type) -> Iterator[str]:
    """Yield the source of each method of the class and its bases; torch's own are known by their names."""
    for base in kind.__mro__:
        if not _is_torchs(base) and base is not object:
            for name, value in sorted(vars(base).items()):
                function = getattr(value, "__func__", getattr(value, "fget", value))
                if isinstance(function, FunctionType):
                    yield f"{name}: {_source(function)}"


def _source(function: FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # typed into an interpreter
        code = function.__code__
        return f"{code.co_code.hex()} {code.co_names} {[one for one in code.co_consts if not hasattr(one, 'co_code')]}"
