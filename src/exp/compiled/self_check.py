"""Check a compiled step against the eager one, made from the same state."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exp.compiled.compiled_loop import CompiledLoop
from exp.data.batches import Stack
from exp.engine.step import EagerStep
from exp.engine.tensor_state import TensorState
from exp.engine.updates import BareUpdate

# How far an update may be from the eager one, in units of the largest, and the loss, in units of itself.
TOLERANCE = 1e-5

# Or so many times as far as the eager step is from one in float64: where rounding alone moves it further.
_FACTOR = 4


def find_difference(
    eager: EagerStep,
    changed: Sequence[Tensor],
    loop: CompiledLoop,
    update: BareUpdate,
    stack: Stack,
    is_strict: bool = False,
) -> str | None:
    """Make an eager and a compiled step from the current state, and restore it.

    Call it with gradients disabled, when the optimizer has its state.

    Args:
        changed: All tensors that a step changes.
        stack: One batch.
        is_strict: Whether the tolerance holds also where the eager step is further than it from one in float64.

    Returns:
        What differs by more than the tolerance; None if nothing does.
    """
    (x, y), gradients = next(iter(stack)), [parameter.grad for parameter in eager.parameters]
    before = TensorState.save(changed, x.device)
    try:
        theirs = _Results.of_step(eager, lambda: eager.update(x, y)[0])
        before.restore()
        ours = _Results.of_step(eager, lambda: loop.run(stack, update)[0][0])
        before.restore()
        is_close = _first_difference(ours, theirs) is None
        exact = None if is_strict or is_close else _step_in_float64(eager, x, y)
        return _first_difference(ours, theirs, exact)
    finally:
        eager.set_gradients(gradients)
        before.restore()


@dataclass(frozen=True)
class _Results:
    """What a step computes, in float64: its loss, and for everything that it changes the difference it makes."""

    values: dict[str, Tensor]

    @classmethod
    def of_step(cls, eager: EagerStep, step: Callable[[], Tensor]) -> "_Results":
        before = {name: value.double().clone() for name, value in _by_name(eager).items()}
        loss = step().double()
        after = {name: value.double() - before[name] for name, value in _by_name(eager).items()}
        return cls({"loss": loss, **after})


def _by_name(eager: EagerStep) -> dict[str, Tensor]:
    """Return what a step changes: the parameters, the optimizer's tensors of each kind, and each buffer."""
    tensors = {"update": [parameter.data for parameter in eager.parameters]}
    for parameter in eager.parameters:
        for name, value in eager.optimizer.state.get(parameter, {}).items():
            if name != "step" and isinstance(value, Tensor):
                tensors.setdefault(name, []).append(value)
    for name, buffer in (*eager.model.named_buffers(), *eager.criterion.named_buffers()):
        tensors[f"buffer {name}"] = [buffer]
    return {name: torch.cat([value.flatten() for value in values]) for name, values in tensors.items()}


def _first_difference(ours: _Results, theirs: _Results, exact: _Results | None = None) -> str | None:
    """Return what differs by more than the tolerance; with exact results, by more than those differ from `theirs`."""
    for name, value in theirs.values.items():
        difference = _distance(ours.values[name], value)
        if difference <= TOLERANCE:
            continue
        if exact is not None:
            allowed = _FACTOR * _distance(value, exact.values[name])
            if _distance(ours.values[name], exact.values[name]) <= max(TOLERANCE, allowed):
                continue
        return f"its {name} differs by {difference:.1e} of the largest value"
    return None


def _distance(a: Tensor, b: Tensor) -> float:
    """Return the largest difference in units of the largest finite value of b; NaN equals NaN, and inf itself."""
    apart = ~((a == b) | (a.isnan() & b.isnan()))
    if not bool(apart.any()):
        return 0.0
    finite = b[b.isfinite()].abs()
    unit = float(finite.max()) if finite.numel() else 0.0
    return float((a - b)[apart].abs().nan_to_num(math.inf, math.inf).max()) / unit if unit else math.inf


def _step_in_float64(eager: EagerStep, x: Tensor, y: Tensor) -> _Results | None:
    """Make the step on copies in float64; None if the model cannot."""
    model, criterion, optimizer = copy.deepcopy((eager.model, eager.criterion, eager.optimizer))
    twin = replace(eager, model=model.double(), criterion=criterion.double(), optimizer=optimizer)
    for state in optimizer.state.values():
        for name, value in state.items():
            state[name] = value.double() if isinstance(value, Tensor) and name != "step" else value
    try:
        target = y.double() if y.is_floating_point() else y
        return _Results.of_step(twin, lambda: twin.update(x.double(), target)[0])
    except (RuntimeError, TypeError):
        return None
