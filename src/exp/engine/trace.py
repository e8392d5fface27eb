"""A computation recorded as the flat list of operator calls that torch made for it.

Recording watches torch's dispatcher while the computation runs, below autograd: forward, loss and gradients become one
list of calls on tensors. What plays it is another matter: playing.py.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Arguments that batch norms write into, though their schemas do not say so.
_WRITTEN_UNSAID = ("running_mean", "running_var")


# Ways to a tensor's numbers that no dispatcher hears of.
_UNHEARD = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.data_ptr}


@dataclass(frozen=True)
class OpCall:
    """One call of an operator, with the tensors it was called with and those it gave."""

    operator: OpOverload
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def inputs(self) -> list[Tensor]:
        return tensors_of((self.args, self.kwargs))

    @property
    def outputs(self) -> list[Tensor]:
        return tensors_of(self.result)

    @property
    def written(self) -> list[Tensor]:
        """The arguments that the operator writes into."""
        schema = self.operator._schema.arguments
        positional = zip(schema, self.args, strict=False)
        named = ((argument, self.kwargs.get(argument.name)) for argument in schema)
        writes = [
            value
            for argument, value in (*positional, *named)
            if argument.name in _WRITTEN_UNSAID or (argument.alias_info and argument.alias_info.is_write)
        ]
        return tensors_of(writes)

    @property
    def is_random(self) -> bool:
        return torch.Tag.nondeterministic_seeded in self.operator.tags


class Mode(TorchDispatchMode):
    """Under it, `__torch_dispatch__` gets every operator call; its first call does not load torch.compile."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Trace(Mode):
    """Writes down every operator call made under it. Holds every tensor it saw, so that no two share an id."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[OpCall] = []
        self.fallback_reason: str | None = None  # why the next time may be another list of calls
        self._listener = _Listener(self)

    def __enter__(self) -> Self:
        self._listener.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._listener.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _reads_values(func, args):
            self.fallback_reason = f"{func} looks into a tensor, so the next step may be another computation"
        if any(isinstance(leaf, torch.Generator) for leaf in leaves_of((args, kwargs or {}))):
            self.fallback_reason = f"{func} draws from a random stream of the model's own"
        result = func(*args, **(kwargs or {}))
        self.calls.append(OpCall(func, args, kwargs or {}, result))
        return result


class _Listener(TorchFunctionMode):
    """Hears of what the dispatcher does not."""

    def __init__(self, tape: Trace) -> None:
        super().__init__()
        self._tape = tape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _UNHEARD:
            self._tape.fallback_reason = (
                f"{func.__name__} looks into a tensor, so the next step may be another computation"
            )
        return func(*args, **(kwargs or {}))


def _reads_values(operator: OpOverload, args: Any) -> bool:
    """Whether what comes next may depend on the numbers in a tensor: its values are read, or decide on a shape."""
    if operator is torch.ops.aten.index.Tensor:
        return any(index.dtype in (torch.bool, torch.uint8) for index in tensors_of(args[1]))
    return not {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}.isdisjoint(operator.tags)


def is_view(operator: OpOverload) -> bool:
    """Whether what it returns shares the memory of an argument that it does not write into."""
    arguments, returns = operator._schema.arguments, operator._schema.returns
    writes = any(argument.alias_info is not None and argument.alias_info.is_write for argument in arguments)
    return not writes and any(result.alias_info is not None for result in returns)


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    return [leaf for leaf in leaves_of(value) if isinstance(leaf, Tensor)]


def leaves_of(value: Any) -> list[Any]:
    """Everything in nested tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves_of(item)]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves_of(item)]
    return [value]


def storage_of(tensor: Tensor) -> int:
    """A number that tensors with the same memory share."""
    return tensor.untyped_storage()._cdata
