"""The updates of torch.optim, element by element, and the numbers that each needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from exp.compiled.uncompilable import Uncompilable
from exp.compiled.values import FLOAT, Value, elementwise
from exp.engine.optimizers import is_plain_torch

# The same for all updates of a window, or one for each [n].
Number: TypeAlias = float | Tensor

# Options of torch.optim that these updates do not implement.
_UNSUPPORTED = ("maximize", "capturable", "differentiable", "amsgrad", "centered")


@dataclass(frozen=True)
class Update:
    """How the parameters of one group change.

    Attributes:
        kind: The optimizer.
        options: The terms of the update that are there: decay, decoupled, momentum, nesterov.
        parameters: How many parameters the group has.
    """

    kind: str
    options: tuple[str, ...]
    parameters: int

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the tensors that the optimizer keeps for each parameter."""
        momentum = ("momentum_buffer",) if "momentum" in self.options else ()
        return {"sgd": (), "adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("square_avg",), "adagrad": ("sum",)}[
            self.kind
        ] + momentum

    @property
    def count(self) -> int:
        """How many numbers an update takes."""
        return 7

    def numbers(self, group: Mapping[str, Any], steps: Tensor) -> Tensor:
        """Return the numbers [n, count] of the updates that make `steps` [n] steps in all, computed in float64."""
        lr, decay = float(group["lr"]), float(group["weight_decay"])
        numbers = _NUMBERS[self.kind](group, steps)
        result = torch.zeros(len(steps), self.count, dtype=torch.float64)
        for column, number in enumerate(numbers):
            result[:, column] = number
        result[:, -1] = 1 - lr * decay if "decoupled" in self.options else decay
        return result.float()

    def results(self, p: Value, g: Value, states: Sequence[Value], numbers: Sequence[Value]) -> list[Value]:
        """Return the new values of a parameter and its states, for its gradient g."""
        if "decoupled" in self.options:
            p = p * numbers[-1]
        elif "decay" in self.options:
            g = g + numbers[-1] * p
        return _RESULTS[self.kind](self, p, g, states, numbers)


def describe_updates(optimizer: Optimizer) -> list[Update]:
    """Return the update of each parameter group.

    Raises:
        Uncompilable: The optimizer, or one of its options, is not supported.
    """
    name = type(optimizer).__name__
    if type(optimizer) not in _KINDS or not is_plain_torch(optimizer):
        raise Uncompilable(f"optimizer={name} is not compiled (supported: SGD, Adam, AdamW, RMSprop, Adagrad)")
    updates: list[Update] = []
    for group in optimizer.param_groups:
        for option in _UNSUPPORTED:
            if group.get(option):
                raise Uncompilable(f"optimizer.{option}={group[option]} is not compiled")
        present = {
            "decay": bool(group["weight_decay"]) and not group.get("decoupled_weight_decay"),
            "decoupled": bool(group["weight_decay"]) and bool(group.get("decoupled_weight_decay")),
            "momentum": bool(group.get("momentum")),
            "nesterov": bool(group.get("nesterov")),
        }
        options = tuple(option for option, is_present in present.items() if is_present)
        updates.append(Update(_KINDS[type(optimizer)], options, len(group["params"])))
    return updates


def _sgd(update: Update, p: Value, g: Value, states: Sequence[Value], h: Sequence[Value]) -> list[Value]:
    lr, momentum, kept = h[:3]
    if not states:
        return [p - lr * g]
    buffer = momentum * states[0] + kept * g
    return [p - lr * (g + momentum * buffer if "nesterov" in update.options else buffer), buffer]


def _adam(_: Update, p: Value, g: Value, states: Sequence[Value], h: Sequence[Value]) -> list[Value]:
    lr, kept, beta2, kept2, root, eps = h[:6]
    average = states[0] + kept * (g - states[0])
    square = beta2 * states[1] + kept2 * g * g
    return [p - lr * (average / (elementwise("sqrt", square) / root + eps)), average, square]


def _rmsprop(_: Update, p: Value, g: Value, states: Sequence[Value], h: Sequence[Value]) -> list[Value]:
    lr, momentum, alpha, kept, eps = h[:5]
    square = alpha * states[0] + kept * g * g
    step = g / (elementwise("sqrt", square) + eps)
    if len(states) == 1:
        return [p - lr * step, square]
    buffer = momentum * states[1] + step
    return [p - lr * buffer, square, buffer]


def _adagrad(_: Update, p: Value, g: Value, states: Sequence[Value], h: Sequence[Value]) -> list[Value]:
    lr, eps = h[:2]
    total = states[0] + g * g
    return [p - lr * (g / (elementwise("sqrt", total) + eps)), total]


def _sgd_numbers(group: Mapping[str, Any], _: Tensor) -> list[Number]:
    return [float(group["lr"]), group["momentum"], 1 - group["dampening"]]


def _adam_numbers(group: Mapping[str, Any], steps: Tensor) -> list[Number]:
    beta1, beta2 = group["betas"]
    root = (1 - beta2**steps).sqrt()
    return [float(group["lr"]) / (1 - beta1**steps), 1 - beta1, beta2, 1 - beta2, root, group["eps"]]


def _rmsprop_numbers(group: Mapping[str, Any], _: Tensor) -> list[Number]:
    return [float(group["lr"]), group["momentum"], group["alpha"], 1 - group["alpha"], group["eps"]]


def _adagrad_numbers(group: Mapping[str, Any], steps: Tensor) -> list[Number]:
    return [float(group["lr"]) / (1 + (steps - 1) * group["lr_decay"]), group["eps"]]


_KINDS: dict[type[Optimizer], str] = {
    SGD: "sgd",
    Adam: "adam",
    AdamW: "adam",
    RMSprop: "rmsprop",
    Adagrad: "adagrad",
}

_NUMBERS: dict[str, Callable[[Mapping[str, Any], Tensor], list[Number]]] = {
    "sgd": _sgd_numbers,
    "adam": _adam_numbers,
    "rmsprop": _rmsprop_numbers,
    "adagrad": _adagrad_numbers,
}

_RESULTS: dict[str, Callable[..., list[Value]]] = {
    "sgd": _sgd,
    "adam": _adam,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
}


def number_slots(update: Update, first: int) -> list[Value]:
    """Return the numbers of an update, which are the caller's from `first` on."""
    return [Value("number_slot", (), (), FLOAT, (first + number,)) for number in range(update.count)]
