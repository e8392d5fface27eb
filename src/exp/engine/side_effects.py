"""State that a step can change and a trace cannot show: Python objects, and the random states of Python and NumPy."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from torch import nn

from exp.data.seeding import stream_positions
from exp.engine.object_reader import ObjectReader
from exp.engine.packages import are_of_libraries, package_of

_SEEN_BY_TORCH = ("_buffers", "_parameters", "_modules")


def observable_state(modules: Iterable[nn.Module]) -> dict[str, object]:
    """Return a name for each piece of that state, with a value to compare.

    It is what can be reached from the modules: attributes, the objects in them, class attributes, and the closures and
    global variables of the functions of the user's code.
    """
    _, numpy, python = stream_positions()
    return {"the random state of NumPy": numpy, "the state of random": python, **_state_of(modules)}


def _state_of(modules: Iterable[nn.Module]) -> dict[str, object]:
    parts = [*chain.from_iterable(root.modules() for root in modules)]
    found = ObjectReader({package_of(cls) for part in parts for cls in type(part).__mro__})
    try:
        for module in parts:
            own = {name: value for name, value in vars(module).items() if name not in _SEEN_BY_TORCH}
            own |= _attributes_of_script(module)
            tensors = (*module.named_buffers(recurse=False), *module.named_parameters(recurse=False))
            for name, value in (*own.items(), *tensors):  # a parameter may be replaced
                found.state[f"{name} of {type(module).__name__}, {id(module):x}"] = found.read(value)
            found.read_class(type(module))
    except Exception as error:  # of a property of the user's, or objects that are nested too deep
        found.state[f"objects that cannot be read ({type(error).__name__}), "] = object()  # equals nothing
    return found.state


def _attributes_of_script(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module of TorchScript, which are no Python objects."""
    kind = getattr(module, "_concrete_type", None)
    return {} if kind is None else {name: getattr(module, name) for name in kind.get_attributes()}


def first_difference(before: Mapping[str, object], after: Mapping[str, object]) -> str | None:
    """Return the name of the first entry that differs, or None."""
    names = (name for name in {**before, **after} if before.get(name) != after.get(name))
    return next((name.partition(",")[0] for name in names), None)


class StateBetweenSteps:
    """Finds changes of a model's state that its steps did not make, for example by `train(mode)` or an evaluation.

    It reads nothing of modules without code of the user's, because this takes as long as some tens of steps.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        roots = list(modules)
        self._modules = [] if are_of_libraries(roots) else roots
        self._state: dict[str, object] | None = None

    def keep(self) -> None:
        """Take the state as it is now as the one of the steps."""
        self._state = _state_of(self._modules)

    def find_change(self) -> str | None:
        """Return what differs from the state that was kept, or None."""
        if self._state is None or not self._modules:
            return None
        return first_difference(self._state, _state_of(self._modules))
