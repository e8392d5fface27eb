"""Pass 1: turn a list of operator calls into values that core operators compute."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from exp.compiled.layer_rules import LAYER_RULES
from exp.compiled.loss_rules import LOSS_RULES
from exp.compiled.operator_rules import RULES, TYPES
from exp.compiled.recording import FLOATS_IN_KEY, Place, Recording, place
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import FLOAT, Value, broadcast, elementwise
from exp.engine.step import Gradients
from exp.engine.trace import OpCall, flatten

_ALL_RULES = {**RULES, **LAYER_RULES, **LOSS_RULES}


@dataclass(frozen=True)
class CoreStep:
    """The values that a step computes.

    Attributes:
        written: The new values of tensors that the calls write into, by their number among the recording's tensors.
    """

    loss: Value
    output: Value
    gradients: list[Value]
    written: dict[int, Value]


def lower(recording: Recording, gradients: Gradients) -> CoreStep:
    """Return the core operators of a recorded step.

    Raises:
        Uncompilable: An operator without rule, or a type other than float32, int64 and bool, is needed.
    """
    return _Lowering(recording).lower(gradients)


@dataclass(frozen=True)
class _Missing:
    """A value that cannot be computed; nothing may need it."""

    reason: str


class _Lowering:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._slots = 0
        self._draws = 0
        self._values: dict[Place, Value | _Missing] = {}
        self._fixed = {place(tensor): number for number, tensor in enumerate(recording.tensors)}
        self._written: dict[int, Place] = {}
        for number, tensor in enumerate(recording.tensors):
            self._values[place(tensor)] = _input(number, tensor)

    def lower(self, gradients: Gradients) -> CoreStep:
        for call in self._recording.calls:
            self._add(call)
        loss, output, of_parameters = gradients
        return CoreStep(
            self._find(loss),
            self._find(output),
            [self._find(gradient) for gradient in of_parameters if gradient is not None],
            {number: self._available(self._values[key]) for number, key in self._written.items()},
        )

    def _find(self, tensor: Tensor) -> Value:
        if place(tensor) not in self._values:
            raise Uncompilable("a result is not among the recorded calls")
        return self._available(self._values[place(tensor)])

    def _available(self, value: "Value | _Missing") -> Value:
        if isinstance(value, _Missing):
            raise Uncompilable(value.reason)
        return value

    def _add(self, call: OpCall) -> None:
        """Add the results of the next call, and the new values of arguments that it writes into."""
        results = self._compute(call)
        written = [tensor for tensor in call.written if all(tensor is not one for one in call.outputs)]
        if len(results) < len(call.outputs) + len(written):  # it only reads them, as the gradient of a batch norm
            written = []
        for tensor, value in zip([*call.outputs, *written], results, strict=False):
            if any(tensor is one for one in call.written):
                self._write(tensor, value)
            self._values[place(tensor)] = self._checked(tensor, value)

    def _compute(self, call: OpCall) -> Sequence[Value | _Missing]:
        """Return the results of a call, and after them the new values of arguments that it does not return."""
        name = call.operator.name().removeprefix("aten::").partition(".")[0]
        if call.is_random:
            self._draws += 1
            shape = tuple(call.outputs[0].shape)
            return [Value("input", (), shape, FLOAT, (len(self._recording.tensors) + self._draws - 1,))]
        args, kwargs = self._replace((call.args, call.kwargs), not str(call.operator).startswith(FLOATS_IN_KEY))
        missing = [leaf for leaf in flatten((args, kwargs)) if isinstance(leaf, _Missing)]
        rule = _ALL_RULES.get(name) or _ALL_RULES.get(name.removesuffix("_"))
        count = len(call.written) + len(call.outputs)
        if rule is None or missing:
            return [missing[0] if missing else _Missing(_reason(call))] * count
        try:
            return flatten(rule(*args, **kwargs))
        except (Uncompilable, TypeError) as error:
            return [_Missing(str(error) if isinstance(error, Uncompilable) else f"{call.operator}: {error}")] * count

    def _replace(self, argument: Any, floats: bool) -> Any:
        """Return the arguments with values in place of tensors, and of floats if they are numbered."""
        if isinstance(argument, dict):
            return {key: self._replace(one, floats) for key, one in argument.items()}
        if isinstance(argument, (tuple, list)):
            return [self._replace(one, floats) for one in argument]
        if isinstance(argument, Tensor):
            return self._values.get(place(argument), _Missing("it reads a part of a tensor that has changed"))
        if isinstance(argument, float) and floats:
            self._slots += 1
            return Value("float_slot", (), (), FLOAT, (self._slots - 1,))
        return argument

    def _write(self, tensor: Tensor, value: Value | _Missing) -> None:
        """Forget views of a tensor that a call writes into, and keep what leaves the step."""
        key = place(tensor)
        for other in [other for other in self._values if other[0] == key[0] and other != key]:
            del self._values[other]
        number = self._fixed.get(key)
        if number is None:
            return
        if not 2 <= number < 2 + self._recording.fixed:
            raise Uncompilable("it writes into its batch or into a constant")
        self._available(value)
        self._written[number] = key

    def _checked(self, tensor: Tensor, value: Value | _Missing) -> Value | _Missing:
        """Return the value if it has the recorded shape and type; a number takes any type."""
        if isinstance(value, _Missing) or tensor.numel() == 0:
            return value
        if tensor.dtype not in TYPES:
            return _Missing(f"it computes in {str(tensor.dtype).removeprefix('torch.')}")
        if value.type != TYPES[tensor.dtype]:
            value = elementwise(TYPES[tensor.dtype], value) if TYPES[tensor.dtype] != "bool" else value
        if value.shape == () and tensor.dim():
            value = broadcast(value, tuple(tensor.shape))
        is_as_recorded = value.shape == tuple(tensor.shape) and value.type == TYPES[tensor.dtype]
        return value if is_as_recorded else _Missing("a result has another shape or type than the recorded one")


def _input(number: int, tensor: Tensor) -> Value | _Missing:
    if tensor.dtype not in TYPES:
        return _Missing(f"it computes in {str(tensor.dtype).removeprefix('torch.')}")
    return Value("input", (), tuple(tensor.shape), TYPES[tensor.dtype], (number,))


def _reason(call: OpCall) -> str:
    if "convolution" in call.operator.name():
        return "convolutions take nearly all the time, and torch's are as fast"
    return f"{call.operator} has no rule"
