"""What a step can depend on and no recording sees: modules' attributes, Python's and numpy's random streams."""

import random
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

_IN_PARTS = ("_buffers", "_parameters", "_modules")


_PLAIN = (int, float, complex, str, bytes, bool, type(None))


def observable_state(modules: Iterable[nn.Module]) -> dict[str, object]:
    """A name for each such thing, and what to know it again by."""
    seen: dict[str, object] = {
        "random's stream": random.getstate(),
        "numpy's random stream": _plain(np.random.get_state(legacy=False)),
    }
    for root in modules:
        for module in root.modules():
            own = {name: value for name, value in vars(module).items() if name not in _IN_PARTS}
            for name, value in [*own.items(), *module.named_buffers(recurse=False)]:
                seen[f"{name} of {type(module).__name__}, {id(module):x}"] = _mark(value)
    return seen


def _plain(state: Any) -> object:
    """Nested dicts with the bytes of their arrays."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in cast("dict[str, Any]", state).items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state  # pyright: ignore[reportUnknownMemberType]


def first_difference(before: Mapping[str, object], after: Mapping[str, object]) -> str | None:
    """The first thing that is not as it was."""
    names = (name for name in {**before, **after} if before.get(name) != after.get(name))
    return next((name.partition(",")[0] for name in names), None)


def _mark(value: Any) -> object:
    """Plain values as they are, tensors and others by who they are, and containers by what is in them."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, dict):
        return [(key, _mark(item)) for key, item in cast("dict[Any, Any]", value).items()]
    if isinstance(value, list | tuple | set | frozenset) and not isinstance(value, Tensor):
        return [_mark(item) for item in cast("list[Any]", value)]
    return id(value)
