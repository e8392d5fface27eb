"""The updates of an optimizer without its overhead. The hyperparameters are read when they begin, so schedulers work.

The state remains the optimizer's own, so its state_dict stays correct.
"""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from exp.engine.optimizers import is_plain_torch, step_function
from exp.engine.step import EagerStep
from exp.engine.update_functions import FUSED, PLAIN, Numbers, Tensors, UpdateFunction

# Name of the function, number of parameters and kinds of state of each group. The same code makes updates of one key.
UpdateKey: TypeAlias = tuple[tuple[str, int, int], ...]


class Update(Protocol):
    """What a loop over batches updates the parameters with."""

    def prepare(self, count: int) -> Callable[[list[Any]], None]:
        """Return a function that makes the next `count` updates, one at each call with the gradients of a step."""
        ...


class NoUpdate:
    """Leaves the parameters as they are."""

    def prepare(self, count: int) -> Callable[[list[Any]], None]:
        del count
        return lambda _gradients: None


class OptimizerStep:
    """The update that `optimizer.step()` makes."""

    def __init__(self, eager: EagerStep) -> None:
        self._eager = eager

    def prepare(self, count: int) -> Callable[[list[Any]], None]:
        del count
        return self._step

    def _step(self, gradients: list[Tensor | None]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # its state must be usable by eager steps
            if not is_plain_torch(self._eager.optimizer):  # a user's may keep gradients, and these are overwritten
                gradients = [None if gradient is None else gradient.clone() for gradient in gradients]
            self._eager.set_gradients(gradients)
            step_function(self._eager.optimizer)(None)


@dataclass(frozen=True)
class GroupUpdate:
    """The update of one parameter group of an optimizer that has made its first step.

    Args:
        tensors: The parameters, and then the lists of the optimizer's own state that `function` takes.
        counters: The optimizer's counts of updates, one for each parameter, if `function` does not change them.
        numbers: Returns the numbers of the updates with these counts, from the current hyperparameters.
    """

    function: UpdateFunction
    tensors: list[Tensors]
    counters: Tensors
    numbers: Callable[[Sequence[int]], list[Numbers]]

    @property
    def parameters(self) -> Tensors:
        return self.tensors[0]

    @property
    def states(self) -> list[Tensors]:
        """The optimizer's tensors of each kind that it has."""
        return [tensors for tensors in self.tensors[1:] if tensors]

    def numbers_of_next(self, count: int) -> list[Numbers]:
        made = int(self.counters[0].item()) if self.counters else 0
        return self.numbers(range(made + 1, made + count + 1))


@dataclass(frozen=True)
class BareUpdate:
    """The update of all parameter groups. Its gradients are those of the first group, then of the second, and so on."""

    groups: list[GroupUpdate]

    @cached_property
    def parts(self) -> list[slice]:
        """The gradients of each group."""
        ends = list(accumulate(len(group.parameters) for group in self.groups))
        return [slice(*ends) for ends in zip([0, *ends], ends, strict=False)]

    @cached_property
    def key(self) -> UpdateKey:
        return tuple((group.function.__name__, len(group.parameters), len(group.states)) for group in self.groups)

    def take_numbers(self, count: int) -> list[list[Numbers]]:
        """Return the numbers of the next updates of each group, and count these updates as made."""
        numbers = [group.numbers_of_next(count) for group in self.groups]
        for group in self.groups:
            if group.counters:
                torch._foreach_add_(group.counters, count)
        return numbers

    def prepare(self, count: int) -> Callable[[list[Any]], None]:
        one_by_one: list[Iterator[Numbers]] = [iter(numbers) for numbers in self.take_numbers(count)]
        if len(self.groups) == 1:
            function, tensors, following = self.groups[0].function, self.groups[0].tensors, one_by_one[0]
            return lambda gradients: function(gradients, tensors, next(following))

        def update(gradients: list[Any]) -> None:
            for group, numbers, part in zip(self.groups, one_by_one, self.parts, strict=True):
                group.function(gradients[part], group.tensors, next(numbers))

        return update


def has_momentum(optimizer: Optimizer) -> list[bool]:
    """Return whether the updates of each parameter group keep a momentum buffer, for optimizers that may."""
    return [bool(group.get("momentum")) for group in optimizer.param_groups]


def basis_of_update(optimizer: Optimizer) -> list[object]:
    """Return what a bare update takes for granted: options, hooks, and which tensors the optimizer keeps.

    Code of the user's, such as a schedule, may change it between steps. Optimizers without such updates have none.
    """
    if type(optimizer) not in PLAIN:
        return []
    options = [tuple(map(group.get, UNSUPPORTED)) for group in optimizer.param_groups]
    kept = [id(value) for state in optimizer.state.values() for value in state.values()]
    return [is_plain_torch(optimizer), options, has_momentum(optimizer), kept]


def make_update(optimizer: Optimizer) -> BareUpdate | None:
    """Return the bare update of `optimizer`, or None if only `optimizer.step()` can make it."""
    groups = [_make_group_update(optimizer, group) for group in optimizer.param_groups]
    made = [group for group in groups if group is not None]
    return BareUpdate(made) if len(made) == len(groups) else None


# Options of torch.optim that these updates do not implement.
UNSUPPORTED = ("maximize", "foreach", "capturable", "differentiable", "amsgrad", "centered")


def _make_group_update(optimizer: Optimizer, group: dict[str, Any]) -> GroupUpdate | None:
    kind = (FUSED if group.get("fused") else PLAIN).get(type(optimizer))
    if kind is None or not is_plain_torch(optimizer) or any(group.get(option) for option in UNSUPPORTED):
        return None
    states: list[dict[str, Any]] = [optimizer.state.get(parameter, {}) for parameter in group["params"]]
    needed = [*kind.states, *(["step"] if kind.counts else [])]
    kept = [name for name in needed if name != "momentum_buffer" or group["momentum"]]
    if any(not isinstance(state.get(name), Tensor) for state in states for name in kept):
        return None  # not yet, or it was cleared
    if kind.counts and len({float(state["step"]) for state in states}) > 1:
        return None

    lists: dict[str, Tensors] = {name: [state[name] for state in states if name in kept] for name in needed}
    return GroupUpdate(
        kind.function,
        [[parameter.detach() for parameter in group["params"]], *(lists[name] for name in kind.states)],
        lists["step"] if kind.counts else [],
        lambda counts: kind.numbers(group, counts),
    )
