"""What a list of operator calls reads from outside: tensors, floats and random numbers; and a text that names the rest.

Steps with the same text are the same computation on tensors of the same shapes, so they share one compiled library.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exp.compiled.uncompilable import Uncompilable
from exp.engine.step import Gradients
from exp.engine.trace import OpCall, find_tensors, flatten, storage_id

# Equal for tensors that show the same elements.
Place: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...]]

# Fills a tensor with random numbers from torch's stream.
Draw: TypeAlias = Callable[[Tensor], Any]

# Operators whose floats decide which computation it is.
FLOATS_IN_KEY = ("aten.pow", "aten._foreach_norm", "aten.linalg_vector_norm")

_UNIFORM, _NORMAL = ("aten.rand_like", "aten.rand"), ("aten.randn_like", "aten.randn")
_IN_PLACE = ("aten.bernoulli_.float", "aten.uniform_.default", "aten.normal_.default")


@dataclass
class Recording:
    """A list of calls, with what they read from outside.

    Attributes:
        tensors: x, y, the fixed tensors and constants, in the order of the library's arguments.
        floats: The floats among the arguments of the calls, in order.
        draws: For each random call a function that makes it again, and the shape.
        text: The calls with numbers for tensors, and `?` for floats.
        names: The names of all tensors in the text.
    """

    calls: Sequence[OpCall]
    fixed: int  # how many tensors after x and y are parameters and buffers
    tensors: list[Tensor]
    output_shape: tuple[int, ...]
    floats: list[float] = field(default_factory=list[float])
    draws: list[tuple[Draw, torch.Size]] = field(default_factory=list[tuple[Draw, torch.Size]])
    text: str = ""
    names: dict[Place, str] = field(default_factory=dict[Place, str])

    @classmethod
    def read(
        cls, calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
    ) -> "Recording":
        """Read a list of calls that computed `gradients`.

        Raises:
            Uncompilable: A tensor is on a GPU or not contiguous, a result is not float32, a parameter has no gradient,
                or a random call is not supported.
        """
        loss, output, of_parameters = gradients
        results = [tensor for tensor in (loss, output, *of_parameters) if tensor is not None]
        if len(results) < len(of_parameters) + 2:
            raise Uncompilable("a parameter has no gradient")
        for tensor in results:
            if tensor.dtype != torch.float32:
                raise Uncompilable(f"it computes in {str(tensor.dtype).removeprefix('torch.')}")
        recording = cls(calls, len(fixed), [x, y, *fixed], tuple(output.shape))
        text = _Reader(recording).read()
        recording.text = "\n".join([text, *(recording.names.get(place(tensor), "") for tensor in results)])
        return recording

    def forget_trace(self, fixed: Sequence[Tensor]) -> None:
        """Keep only what playing needs, with `fixed` in place of the parameters and buffers that were recorded."""
        if any(not tensor.is_contiguous() for tensor in fixed):
            raise Uncompilable("a tensor is not contiguous")
        of_batch = [tensor.to("meta") for tensor in self.tensors[:2]]
        constants = self.tensors[2 + self.fixed :]
        self.tensors = [*of_batch, *(tensor.detach() for tensor in (*fixed, *constants))]
        self.calls = []
        self.names.clear()


class _Reader:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._names = recording.names
        for number, tensor in enumerate(recording.tensors):
            self._add_outside(tensor, f"t{number}")

    def read(self) -> str:
        return "\n".join([*self._names.values(), *map(self._read_call, self._recording.calls)])

    def _add_outside(self, tensor: Tensor, name: str) -> None:
        if tensor.device.type != "cpu":
            raise Uncompilable(f"it runs on {tensor.device}")
        if not tensor.is_contiguous():
            raise Uncompilable("a tensor is not contiguous")
        self._names[place(tensor)] = f"{name}{_describe(tensor)}"

    def _read_call(self, call: OpCall) -> str:
        name = str(call.operator)
        if call.is_random:
            self._recording.draws.append((_draw_of(name, call), call.outputs[0].shape))
        written = {id(tensor) for tensor in call.written}
        inputs = [self._read_argument(name, call, leaf) for leaf in flatten((call.args, call.kwargs))]
        for tensor in call.outputs:
            if id(tensor) not in written:
                self._names[place(tensor)] = f"v{len(self._names)}{_describe(tensor)}"
        outputs = [self._names[place(tensor)] for tensor in call.outputs]
        return f"{', '.join(outputs)} = {name}({', '.join([*inputs, *call.kwargs])})"

    def _read_argument(self, name: str, call: OpCall, leaf: Any) -> str:
        if isinstance(leaf, Tensor):
            if place(leaf) not in self._names:
                self._recording.tensors.append(leaf)
                self._add_outside(leaf, f"t{len(self._recording.tensors) - 1}")
            return self._names[place(leaf)]
        if isinstance(leaf, float) and not call.is_random and not name.startswith(FLOATS_IN_KEY):
            self._recording.floats.append(leaf)
            return "?"
        return "random" if call.is_random else str(leaf)


def place(tensor: Tensor) -> Place:
    """Return a value that is equal for tensors of the same elements, while both exist."""
    strides = [0 if size == 1 else stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    return storage_id(tensor), int(tensor.storage_offset()), tuple(tensor.shape), tuple(strides)


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _draw_of(name: str, call: OpCall) -> Draw:
    """Return a function that fills a tensor with the random numbers of the call.

    Raises:
        Uncompilable: The call draws otherwise than torch's usual functions do.
    """
    (result,), floats = call.outputs, [*call.args, *call.kwargs.values()]
    if not result.is_contiguous() or result.dtype != torch.float32:
        raise Uncompilable(f"{name} draws numbers that are not contiguous or not float32")
    if name in _IN_PLACE and not find_tensors(floats[1:]):
        operator, more, named = call.operator, call.args[1:], call.kwargs  # not the call, which has tensors
        return lambda tensor: operator(tensor, *more, **named)
    if name.rpartition(".")[0] in _UNIFORM:
        return Tensor.uniform_
    if name.rpartition(".")[0] in _NORMAL:
        return Tensor.normal_
    raise Uncompilable(f"{name} draws random numbers")
