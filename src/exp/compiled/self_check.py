"""Check a compiled step against the eager one, made from the same state.

Both round differently, and how far rounding moves a step depends on the step: Adam divides by the gradient, however
small. So the step is also made with other roundings, exactly as recorded, but with each result of an operator moved by
up to some units in its last place (Monte Carlo arithmetic). What these steps differ by is what rounding may do.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exp.compiled.compiled_loop import CompiledLoop
from exp.data.stack import Stack
from exp.engine.python_loop import Loop
from exp.engine.step import StepOutputs
from exp.engine.step_tensors import StepTensors
from exp.engine.tensor_state import TensorState
from exp.engine.trace import DispatchMode, OpCall, is_view
from exp.engine.updates import BareUpdate

# A value may be as far from the eager one as three distances together. The first: this share of the largest value of
# its kind; for the loss, of itself.
TOLERANCE = 1e-5

# The second, not for the loss: in compiled gradients and updates, terms below 1.2e-38 are 0; 10,000 rows have as many.
_SMALLEST = 1e-34

# The third: so many times the distance between steps with other roundings. At most so many of them are made, in which
# each result moves by up to this share of itself.
_FACTOR, _SAMPLES, _MOVED_BY = 4, 4, 4 * 2.0**-24

_MEAN = 1  # the reduction of a loss

# Operators whose small results have the rounding error of something larger inside: a sum that is at least 1, of which
# they take the logarithm, or a gradient that they subtract a probability near 1 times itself from.
_ROUNDED_LIKE: dict[str, Callable[[Sequence[Any]], float]] = {
    "_log_softmax": lambda _: 1.0,
    "logsumexp": lambda _: 1.0,
    "_log_softmax_backward_data": lambda args: float(args[0].abs().max()),
    "soft_margin_loss_backward": lambda args: float(args[0].abs().max()) / (args[1].numel() if args[3] == _MEAN else 1),
}

# So many values, and this share of all, may be further away, up to the largest third distance of any value: in a few
# samples, one of many values may be rounded alike each time, so that its own distance is too small.
_OUTLIERS, _SHARE = 2, 1e-3

# What a step computes, in float64: its loss, and for everything that it changes the difference it makes.
Results: TypeAlias = dict[str, Tensor]


def make_checked_step(
    make_step: Callable[[], StepOutputs],
    tensors: StepTensors,
    loop: CompiledLoop,
    exact: Loop | None,
    update: BareUpdate,
    stack: Stack,
) -> tuple[StepOutputs, str | None]:
    """Make a step with `make_step`, and compare it with the compiled one. Call it with gradients disabled.

    Args:
        make_step: Makes the step as eager ones are made. It is called once, from the current state.
        tensors: Those that a step changes.
        exact: Makes the recorded step; None: the tolerance holds, however far rounding moves the step.
        stack: One batch.

    Returns:
        The outputs of `make_step`, and what differs by more than the tolerance; None if nothing does.

    Raises:
        Uncompilable: The loop cannot make the step. Then `make_step` was not called.
    """
    before = TensorState.save(tensors.changed, stack.x.device)
    try:
        ours = _results_of(tensors, lambda: loop.run(stack, update)[0][0])
    finally:
        before.restore()
    outputs = StepOutputs()

    def make() -> Tensor:
        outputs.extend(make_step())
        return outputs.losses[0][0]

    theirs = _results_of(tensors, make)
    difference = _first_difference(ours, theirs, [])
    if difference is None or exact is None:
        return outputs, difference
    after = TensorState.save(tensors.changed, stack.x.device)
    noise = torch.Generator().manual_seed(0)
    samples: list[Results] = []
    while difference is not None and len(samples) <= _SAMPLES:  # each sample only widens what rounding may do
        before.restore()
        own = noise if samples else None
        samples.append(_results_of(tensors, lambda own=own: _run(exact, stack, update, own)))
        if len(samples) > 1:
            difference = _first_difference(ours, theirs, samples)
    after.restore()
    return outputs, difference


def _run(loop: Loop, stack: Stack, update: BareUpdate, noise: torch.Generator | None) -> Tensor:
    """Make the step as recorded, or with the other roundings that `noise` draws, and return its loss."""
    x = stack.x if noise is None else _move(stack.x, noise)
    with torch.inference_mode(), nullcontext() if noise is None else _OtherRoundings(noise):
        return loop.run(Stack.of(x, stack.y), update)[0][0]


class _OtherRoundings(DispatchMode):
    """Moves each float that an operator computes by a random part of a few units in its last place."""

    def __init__(self, noise: torch.Generator) -> None:
        super().__init__()
        self._noise = noise

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        call = OpCall(func, args, kwargs or {}, result)
        least = _ROUNDED_LIKE.get(call.name, lambda _: 0.0)(args)
        for tensor in {id(one): one for one in (*call.written, *([] if is_view(func) else call.outputs))}.values():
            if tensor.dtype == torch.float32:
                tensor.copy_(_move(tensor, self._noise, least))
        return result


def _move(tensor: Tensor, noise: torch.Generator, least: float = 0.0) -> Tensor:
    """Move the values by units in their last place, or in that of `least` if it is larger.

    Whole numbers, which may be categories or masks, are moved only by those of `least`.
    """
    if tensor.dtype != torch.float32:
        return tensor
    units = tensor.abs().clamp(min=least)
    moved = tensor + units * torch.empty(tensor.shape).uniform_(-_MOVED_BY, _MOVED_BY, generator=noise)
    return moved if least else torch.where(tensor == tensor.round(), tensor, moved)


def _results_of(tensors: StepTensors, step: Callable[[], Tensor]) -> Results:
    before = _values_by_name(tensors)
    loss = step().double().reshape(1)
    return {"loss": loss, **{name: value - before[name] for name, value in _values_by_name(tensors).items()}}


def _values_by_name(tensors: StepTensors) -> Results:
    """Return copies of what a step changes: the parameters, the optimizer's tensors of each kind, and each buffer."""
    named: dict[str, Sequence[Tensor]] = {"update": tensors.eager.parameters, **tensors.states}
    for module in tensors.eager.modules:
        named |= {f"buffer {name}": [buffer] for name, buffer in module.named_buffers()}
    named.pop("step", None)  # the number of updates
    return {name: torch.cat([one.detach().flatten().double() for one in values]) for name, values in named.items()}


def _first_difference(ours: Results, theirs: Results, samples: Sequence[Results]) -> str | None:
    """Return what differs by more than the tolerance, and by more than the samples differ from the first of them."""
    for name, value in theirs.items():
        unit = _largest(value)
        near = TOLERANCE * unit + (0.0 if name == "loss" else _SMALLEST)
        if bool(((ours[name] - value).abs() <= near).all()):  # not if one of them is NaN
            continue
        distance = _distance(ours[name], value)
        spread = torch.zeros_like(distance)
        for sample in samples[1:]:
            spread = spread.maximum(_distance(sample[name], samples[0][name]).nan_to_num(0.0, 0.0))
        far = distance > near + _FACTOR * spread
        allowed = max(near, _FACTOR * float(spread.max())) if spread.numel() else 0.0
        outliers = _OUTLIERS + _SHARE * far.numel() if samples else 0
        if int(far.sum()) > outliers or bool((distance > allowed).any()):
            worst = float(distance.max())
            share, whole = worst / unit if unit else math.inf, "itself" if name == "loss" else "the largest"
            return f"its {name} differs from the eager one by {share:.1e} of {whole}"
    return None


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how far each value of a is from that of b; NaN equals NaN, and inf itself, and nothing else is near."""
    is_same = (a == b) | (a.isnan() & b.isnan())
    return (a - b).abs().nan_to_num(math.inf, math.inf).masked_fill(is_same, 0.0)


def _largest(values: Tensor) -> float:
    largest = float(values.abs().max()) if values.numel() else 0.0
    if math.isfinite(largest):  # as nearly always; the selection below copies the values
        return largest
    finite = values[values.isfinite()].abs()
    return float(finite.max()) if finite.numel() else 0.0
