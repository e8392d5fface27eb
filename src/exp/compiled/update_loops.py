"""The updates of engine/update_functions.py element by element, up to rounding."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, RMSprop

from exp.compiled.values import FLOAT, Value, elementwise, where
from exp.engine.update_functions import FUSED, PLAIN, Numbers, UpdateFunction
from exp.engine.updates import BareUpdate, GroupUpdate

# Parameter, gradient, state tensors, numbers of the update -> new parameter, new state tensors.
Formula: TypeAlias = Callable[[Value, Value, Sequence[Value], Sequence[Value]], list[Value]]


def new_values(group: GroupUpdate, p: Value, g: Value, states: Sequence[Value], first_number: int) -> list[Value]:
    """Return the new values of a parameter of the group and of its states, for its gradient g."""
    places = range(first_number, first_number + count_numbers(group))
    return _FORMULAS[group.function](p, g, states, [Value("number_slot", (), (), FLOAT, (one,)) for one in places])


def count_numbers(group: GroupUpdate) -> int:
    """Return how many numbers an update takes."""
    return len(group.numbers_of_next(1)[0])


def state_tensors(update: BareUpdate) -> list[Tensor]:
    """Return the optimizer's tensors that the update changes, those of the first parameter first."""
    return [tensor for group in update.groups for tensors in zip(*group.states, strict=True) for tensor in tensors]


class NumberTable:
    """The numbers of updates, those of the first group first, in float64.

    The last table is kept: most windows of an optimizer without counters have the same numbers.
    """

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
    return torch.from_numpy(np.concatenate([np.empty((count, 0)), *tables], axis=1))


def _complement(n: Value) -> Value:
    """Return 1 - n for a number of the update, computed in float64: float32 would lose digits."""
    return replace(n, operator="complement_slot")


def _sgd(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value]) -> list[Value]:
    lr, decay, momentum, dampening, nesterov = n
    g = g + decay * p
    if not states:
        return [p - lr * g]
    buffer = momentum * states[0] + _complement(dampening) * g
    return [p - lr * where(elementwise("ne", nesterov, 0), g + momentum * buffer, buffer), buffer]


def _adam(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value]) -> list[Value]:
    shrink, decay, beta1, beta2, root_correction, eps, step_size = n
    p = p * shrink
    g = g + decay * p
    mean = states[0] + _complement(beta1) * (g - states[0])
    square = beta2 * states[1] + _complement(beta2) * g * g
    return [p - step_size * (mean / (elementwise("sqrt", square) / root_correction + eps)), mean, square]


def _rmsprop(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value]) -> list[Value]:
    lr, decay, alpha, eps, momentum = n
    g = g + decay * p
    square = alpha * states[0] + _complement(alpha) * g * g
    step = g / (elementwise("sqrt", square) + eps)
    if len(states) == 1:
        return [p - lr * step, square]
    buffer = momentum * states[1] + step
    return [p - lr * buffer, square, buffer]


def _adagrad(p: Value, g: Value, states: Sequence[Value], n: Sequence[Value]) -> list[Value]:
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
