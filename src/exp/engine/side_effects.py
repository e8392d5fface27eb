"""State that a step can change and a trace cannot show: modules' attributes, the random states of Python and NumPy."""

import random
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

_SEEN_BY_TORCH = ("_buffers", "_parameters", "_modules")


_PLAIN = (int, float, complex, str, bytes, bool, type(None))


def observable_state(modules: Iterable[nn.Module]) -> dict[str, object]:
    """Return a name for each piece of that state, with a value to compare."""
    state: dict[str, object] = {
        "the state of random": random.getstate(),
        "the random state of NumPy": _comparable(np.random.get_state(legacy=False)),
    }
    for root in modules:
        for module in root.modules():
            own = {name: value for name, value in vars(module).items() if name not in _SEEN_BY_TORCH}
            for name, value in [*own.items(), *module.named_buffers(recurse=False)]:
                state[f"{name} of {type(module).__name__}, {id(module):x}"] = _fingerprint(value)
    return state


def _comparable(state: Any) -> object:
    """Replace arrays in nested dicts by their bytes."""
    if isinstance(state, dict):
        return {key: _comparable(value) for key, value in cast("dict[str, Any]", state).items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state  # pyright: ignore[reportUnknownMemberType]


def first_difference(before: Mapping[str, object], after: Mapping[str, object]) -> str | None:
    """Return the name of the first entry that differs, or None."""
    names = (name for name in {**before, **after} if before.get(name) != after.get(name))
    return next((name.partition(",")[0] for name in names), None)


def _fingerprint(value: Any) -> object:
    """Return what to compare: plain values themselves, the items of containers, the identity of everything else."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, dict):
        return [(key, _fingerprint(item)) for key, item in cast("dict[Any, Any]", value).items()]
    if isinstance(value, list | tuple | set | frozenset) and not isinstance(value, Tensor):
        return [_fingerprint(item) for item in cast("list[Any]", value)]
    return id(value)
