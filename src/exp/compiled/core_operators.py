"""Pass 1: turn a list of operator calls into values that core operators compute."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exp.compiled.activation_rules import ACTIVATIONS
from exp.compiled.loss_rules import LOSSES
from exp.compiled.pointwise_rules import POINTWISE, TYPES, cast
from exp.compiled.recording import Recording
from exp.compiled.tensor_rules import TENSOR_RULES
from exp.compiled.uncompilable import Uncompilable, because_of_operator, because_of_type
from exp.compiled.values import FLOAT, Value
from exp.engine.step import Gradients
from exp.engine.tensor_state import unchanged
from exp.engine.trace import OpCall, Trace, flatten, storage_id

# For other operators, torch's own decompositions are used, whose first use imports some 500 modules.
_RULES = {**POINTWISE, **ACTIVATIONS, **LOSSES, **TENSOR_RULES}

# Operators whose floats decide which computation it is. Those of the others are arguments of the compiled step.
_LITERAL_FLOATS = ("pow", "_foreach_norm", "linalg_vector_norm", "var_mean")

# Equal for tensors that show the same elements, while both exist.
_Place: TypeAlias = tuple[int, int, tuple[int, ...], tuple[int, ...]]

# A result, or why it cannot be computed; then nothing may need it.
_Result: TypeAlias = Value | str


@dataclass(frozen=True)
class CoreStep:
    """The values that a step computes.

    Attributes:
        written: The new values of buffers that the step writes into, by their number among its tensors.
    """

    loss: Value
    output: Value
    gradients: list[Value]
    written: dict[int, Value]


def lower(
    calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
) -> tuple[CoreStep, Recording]:
    """Return the core operators of a recorded step, and what they read.

    Args:
        calls: The operator calls of one step on the batch x, y.
        fixed: Parameters in the order of the gradients, then buffers.
        gradients: Loss, outputs and gradients that the calls computed.

    Raises:
        Uncompilable: An operator without rule, or a type other than float32, int64 and bool, is needed; a tensor is
            not contiguous; a random call is not supported.
    """
    loss, output, of_parameters = gradients
    results = [tensor for tensor in (loss, output, *of_parameters) if tensor is not None]
    for tensor in results:
        if tensor.dtype != torch.float32:
            raise Uncompilable(because_of_type(tensor.dtype))
    lowering = _Lowering(x, y, fixed, tuple(output.shape))
    for call in calls:
        lowering.add(call)
    loss, output, *others = map(lowering.find, results)
    return CoreStep(loss, output, others, lowering.written()), lowering.recording


class _Lowering:
    def __init__(self, x: Tensor, y: Tensor, fixed: Sequence[Tensor], output_shape: tuple[int, ...]) -> None:
        self.recording = Recording([], output_shape)
        self._values: dict[_Place, _Result] = {}
        self._inputs: dict[int, int] = {}  # the number of each tensor, by its storage
        self._written: dict[int, _Place] = {}
        self._traces: list[Trace] = []  # keep their tensors alive, so that no two have the same place
        for tensor in (x, y, *fixed):
            self._add_input(tensor)
        self._fixed = range(2, 2 + len(fixed))

    def find(self, tensor: Tensor) -> Value:
        return _available(self._values.get(_place(tensor), "a result is not among the recorded calls"))

    def written(self) -> dict[int, Value]:
        return {number: _available(self._values[place]) for number, place in self._written.items()}

    def add(self, call: OpCall) -> None:
        """Add the results of the next call, and the new values of arguments that it writes into but does not return."""
        if call.only_checks:
            raise Uncompilable(_reason(call))
        written, returned = call.written, flatten(call.result)
        targets = [*returned, *(tensor for tensor in written if all(tensor is not one for one in returned))]
        values = self._compute(call)
        for tensor, value in zip_longest(targets, [values] * len(targets) if isinstance(values, str) else values):
            if isinstance(tensor, Tensor) and value is not None:
                if any(tensor is one for one in written):
                    self._forget_views(tensor)
                self._values[_place(tensor)] = _checked(tensor, value)

    def _add_input(self, tensor: Tensor) -> None:
        number, tensors = len(self.recording.tensors), self.recording.tensors
        if not tensor.is_contiguous() or tensor.numel() >= 2**31:
            raise Uncompilable("it reads a tensor that is not contiguous, or has more than 2 ** 31 elements")
        self._inputs[storage_id(tensor)] = number
        tensors.append(tensor)
        kind = TYPES.get(tensor.dtype)
        value = Value("input", (), tuple(tensor.shape), kind, (number,)) if kind else because_of_type(tensor.dtype)
        self._values[_place(tensor)] = value

    def _compute(self, call: OpCall) -> Sequence[_Result | None] | str:
        """Return the results of a call, then the new values of arguments that it does not return, or why none."""
        name = call.name
        if call.is_random:
            number = -1 - self.recording.add_draw(call)
            return [Value("input", (), tuple(call.outputs[0].shape), FLOAT, (number,))]
        rule = _RULES.get(name) or _RULES.get(name.removesuffix("_"))
        decomposition = None if rule is not None else _find_decomposition(call)
        if decomposition is not None:
            return self._decompose(call, decomposition)
        try:
            args, kwargs = self._replace((call.args, call.kwargs), not name.startswith(_LITERAL_FLOATS))
            return _reason(call) if rule is None else flatten(rule(*args, **kwargs))
        except Uncompilable as error:
            return str(error)
        except TypeError:  # the rule takes other arguments
            return f"{because_of_operator(call.name)} with these arguments"

    def _decompose(self, call: OpCall, decomposition: Callable[..., Any]) -> Sequence[_Result | None] | str:
        """Make the call again as torch's simpler operators, and add those. What it writes into stays as it is."""
        read = [self._values.get(_place(tensor)) for tensor in call.inputs]
        failed = next((value for value in read if isinstance(value, str)), _reason(call))
        written, cpu = [one.detach() for one in call.written], torch.device("cpu")
        try:
            with torch.no_grad(), warnings.catch_warnings(action="ignore"), unchanged(written, cpu), Trace() as trace:
                results = flatten(decomposition(*call.args, **call.kwargs))
        except Exception:  # some cannot be called with tensors that exist
            return failed
        self._traces.append(trace)
        for simpler in trace.calls:
            self.add(simpler)
        values = [self._read(tensor) if isinstance(tensor, Tensor) else None for tensor in results]
        return [failed if isinstance(value, str) else value for value in values]

    def _replace(self, argument: Any, floats: bool) -> Any:
        """Return the arguments with values in place of tensors, and of floats if they are numbered; or Uncompilable."""
        if isinstance(argument, dict):
            return {key: self._replace(one, floats) for key, one in argument.items()}
        if isinstance(argument, (tuple, list)):
            return [self._replace(one, floats) for one in argument]
        if isinstance(argument, Tensor):
            return _available(self._read(argument))
        if isinstance(argument, float) and floats:
            self.recording.floats.append(argument)
            return Value("float_slot", (), (), FLOAT, (len(self.recording.floats) - 1,))
        return argument

    def _read(self, tensor: Tensor) -> _Result:
        """Return the value of a tensor; one that no call has made is a constant."""
        if _place(tensor) in self._values:
            return self._values[_place(tensor)]
        if any(place[0] == storage_id(tensor) for place in self._values):
            return "it reads a part of a tensor that was made elsewhere, or has changed"
        self._add_input(tensor)
        return self._values[_place(tensor)]

    def _forget_views(self, tensor: Tensor) -> None:
        """Forget views of a tensor that a call writes into, and remember that it leaves the step with another value."""
        own = _place(tensor)
        for other in [other for other in self._values if other[0] == own[0] and other != own]:
            del self._values[other]
        number = self._inputs.get(own[0])
        if number is not None:
            if number not in self._fixed or _place(self.recording.tensors[number]) != own:
                raise Uncompilable("it writes into a constant or a part of a tensor")
            self._written[number] = own


def _find_decomposition(call: OpCall) -> Callable[..., Any] | None:
    from torch._decomp import decomposition_table  # slow to import, and most steps do not need it

    return decomposition_table.get(call.operator)


def _available(value: _Result) -> Value:
    if isinstance(value, str):
        raise Uncompilable(value)
    return value


def _checked(tensor: Tensor, value: _Result) -> _Result:
    """Return the value if it has the recorded shape, in the recorded type."""
    if isinstance(value, str):
        return value
    if tensor.dtype not in TYPES:
        return because_of_type(tensor.dtype)
    if value.shape != tuple(tensor.shape):
        return "a result has another shape than the recorded one"
    return cast(value, tensor.dtype)


def _place(tensor: Tensor) -> _Place:
    strides = [0 if size == 1 else stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    return storage_id(tensor), int(tensor.storage_offset()), tuple(tensor.shape), tuple(strides)


def _reason(call: OpCall) -> str:
    if "convolution" in call.operator.name():
        return "convolutions take nearly all the time, and torch's are as fast"
    return because_of_operator(call.name)
