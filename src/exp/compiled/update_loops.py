"""The updates of engine/update_functions.py element by element, up to rounding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, RMSprop

from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import FLOAT, Value, elementwise, where
from exp.engine.update_functions import FUSED, PLAIN, Numbers, UpdateFunction
from exp.engine.updates import BareUpdate, GroupUpdate

# Parameter, gradient, state tensors, numbers n and 1 - n -> new parameter, new state tensors.
Formula: TypeAlias = Callable[[Value, Value, Sequence[Value], Sequence[Value], Sequence[Value]], list[Value]]


@dataclass(frozen=True)
class UpdateLoop:
    """How the parameters of one group change.

    Attributes:
        function: That of engine/update_functions.py.
        parameters: How many parameters the group has.
        states: How many tensors the optimizer keeps for each of them.
        numbers: How many numbers the update takes.
    """

    function: UpdateFunction
    parameters: int
    states: int
    numbers: int

    def results(self, p: Value, g: Value, states: Sequence[Value], first_number: int) -> list[Value]:
        """Return the new values of a parameter and its states, for its gradient g."""
        places = range(first_number, first_number + 2 * self.numbers)
        numbers = [Value("number_slot", (), (), FLOAT, (place,)) for place in places]
        return _FORMULAS[self.function](p, g, states, numbers[: self.numbers], numbers[self.numbers :])


def describe_update(update: BareUpdate) -> tuple[UpdateLoop, ...]:
    """Return the update of each parameter group.

    Raises:
        Uncompilable: A tensor of the optimizer is not like those of a compiled step.
    """
    loops: list[UpdateLoop] = []
    for group in update.groups:
        tensors = [*group.tensors[0], *(state for states in _state_lists(group) for state in states)]
        if any(not tensor.is_contiguous() or tensor.dtype != torch.float32 for tensor in tensors):
            raise Uncompilable("a tensor of the optimizer is not contiguous, or not float32")
        numbers = len(group.numbers_of_next(1)[0])
        loops.append(UpdateLoop(group.function, len(group.tensors[0]), len(_state_lists(group)), numbers))
    return tuple(loops)


def state_tensors(update: BareUpdate) -> list[Tensor]:
    """Return the optimizer's tensors that the update changes, those of the first parameter first."""
    return [
        tensor for group in update.groups for tensors in zip(*_state_lists(group), strict=True) for tensor in tensors
    ]


class NumberTable:
    """The numbers of updates: for each group n, then 1 - n, which would lose digits in float32. It keeps the last."""

    def __init__(self) -> None:
        self._rows: list[list[Numbers]] = []
        self._table = torch.empty(0)

    def of_next(self, update: BareUpdate, count: int) -> Tensor:
        """Return a row for each of the next updates, and perhaps more of them."""
        rows = update.take_numbers(count)
        firsts = [[of_group[0]] for of_group in rows]
        if any(of_group[0] is not of_group[-1] for of_group in rows):
            self._rows, self._table = [], _tabulate(rows, count)
        elif firsts != self._rows or count > len(self._table):
            self._rows, self._table = firsts, _tabulate(firsts, 1).expand(count, -1).contiguous()
        return self._table


def _tabulate(rows: list[list[Numbers]], count: int) -> Tensor:
    tables = [np.array(of_group) for of_group in rows]  # torch.tensor takes twice as long
    columns = [columns for table in tables for columns in (table, 1 - table)]
    return torch.from_numpy(np.concatenate([np.empty((count, 0)), *columns], axis=1)).float()


def _state_lists(group: GroupUpdate) -> list[list[Tensor]]:
    return [tensors for tensors in group.tensors[1:] if tensors]


def _sgd(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value], complements: Sequence[Value]) -> list[Value]:
    lr, decay, momentum, _, nesterov = n
    g = g + decay * p
    if not states:
        return [p - lr * g]
    buffer = momentum * states[0] + complements[3] * g
    return [p - lr * where(elementwise("ne", nesterov, 0), g + momentum * buffer, buffer), buffer]


def _adam(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value], complements: Sequence[Value]) -> list[Value]:
    shrink, decay, _, beta2, root_correction, eps, step_size = n
    p = p * shrink
    g = g + decay * p
    mean = states[0] + complements[2] * (g - states[0])
    square = beta2 * states[1] + complements[3] * g * g
    return [p - step_size * (mean / (elementwise("sqrt", square) / root_correction + eps)), mean, square]


def _rmsprop(
    p: Value, g: Value, states: Sequence[Value], n: Sequence[Value], complements: Sequence[Value]
) -> list[Value]:
    lr, decay, alpha, eps, momentum = n
    g = g + decay * p
    square = alpha * states[0] + complements[2] * g * g
    step = g / (elementwise("sqrt", square) + eps)
    if len(states) == 1:
        return [p - lr * step, square]
    buffer = momentum * states[1] + step
    return [p - lr * buffer, square, buffer]


def _adagrad(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value], _: Sequence[Value]) -> list[Value]:
    lr, decay, eps = n
    g = g + decay * p
    total = states[0] + g * g
    return [p - lr * (g / (elementwise("sqrt", total) + eps)), total]


_FORMULAS: dict[UpdateFunction, Formula] = {
    PLAIN[SGD].function: _sgd,
    FUSED[SGD].function: _sgd,
    PLAIN[Adam].function: _adam,
    PLAIN[RMSprop].function: _rmsprop,
    PLAIN[Adagrad].function: _adagrad,
}
