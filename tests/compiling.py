"""Compile functions and steps for tests, and compare them with torch."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from exp.compiled import c_library
from exp.compiled.compile_step import CompiledLoops, compile_trace
from exp.compiled.compiled_loop import CompiledLoop
from exp.compiled.self_check import make_checked_step
from exp.compiled.uncompilable import Uncompilable
from exp.data.stack import Stack
from exp.engine.python_loop import Loop
from exp.engine.recorded_step import RecordedStep, RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep
from exp.engine.step_tensors import StepTensors
from exp.engine.tensor_state import TensorState
from exp.engine.trace import Trace
from exp.engine.updates import BareUpdate, make_update

# Of these tests' libraries, which are not kept in the user's cache.
_CACHE = tempfile.mkdtemp(prefix="exp-compiled-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)


@pytest.fixture(autouse=True)
def optimization(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile in a fifth of the time in modules that import this, but in slow tests as for users."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(c_library, "OPTIMIZATION", "-O0")


@contextmanager
def own_cache() -> Iterator[None]:
    """Keep libraries in a cache of this process, unless EXP_CACHE names another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXP_CACHE", os.environ.get("EXP_CACHE", _CACHE))
        yield


class CompiledFunction:
    """A function of tensors, compiled for their shapes; it takes other values too."""

    def __init__(self, function: Callable[..., Tensor], *inputs: Tensor) -> None:
        first, *self._others = [tensor.clone() for tensor in inputs]
        self._y = torch.zeros(1)
        with torch.no_grad(), Trace() as trace:
            result = function(first, *self._others).float().reshape(1, -1).clone()
            loss = result.sum()
        self._shape = function(*inputs).shape
        with own_cache():
            loops = CompiledLoops(trace.calls, first, self._y, self._others, (loss, result, []))
            self._loop = loops.find(NOTHING)

    def __call__(self, first: Tensor, *others: Tensor) -> Tensor:
        for own, other in zip(self._others, others, strict=True):
            own.copy_(other)
        stack = Stack.of(first.unsqueeze(0).contiguous(), self._y.unsqueeze(0))
        return self._loop.run(stack, NOTHING)[1].reshape(self._shape)


NOTHING = BareUpdate([])


def assert_equal_to_torch(
    function: Callable[..., Tensor], *inputs: Tensor, rtol: float = 4e-7, atol: float = 1e-37
) -> None:
    """Check that the compiled function gives what torch gives, NaN and inf included."""
    torch.testing.assert_close(
        CompiledFunction(function, *inputs)(*inputs), function(*inputs).float(), rtol=rtol, atol=atol, equal_nan=True
    )


Case: TypeAlias = tuple[Callable[..., Tensor], Sequence[Tensor]]


def assert_cases_equal_to_torch(cases: Sequence[Case], rtol: float = 4e-7, atol: float = 1e-37) -> None:
    """Check functions, each with its inputs, that are compiled to one library."""
    tensors = [tensor for _, inputs in cases for tensor in inputs]

    def function(*tensors: Tensor) -> Tensor:
        rest = iter(tensors)
        return torch.cat([case(*(next(rest) for _ in inputs)).float().reshape(-1) for case, inputs in cases])

    results = [case(*inputs).float() for case, inputs in cases]
    ours = CompiledFunction(function, *tensors)(*tensors).split([result.numel() for result in results])
    for number, (one, result) in enumerate(zip(ours, results, strict=True)):
        report = partial("case {}: {}".format, number)
        torch.testing.assert_close(one.reshape(result.shape), result, rtol=rtol, atol=atol, equal_nan=True, msg=report)


@dataclass
class CompiledTraining:
    """A model whose first step was eager, and a loop that makes the next ones."""

    eager: EagerStep
    loop: CompiledLoop
    exact: Loop

    @property
    def update(self) -> BareUpdate:
        update = make_update(self.eager.optimizer)
        assert update is not None
        return update

    def play(self, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
        return self.loop.run(Stack.of(xs, ys), self.update)

    @torch.no_grad()
    def difference(self, x: Tensor, y: Tensor, is_strict: bool = False, other: EagerStep | None = None) -> str | None:
        """Return how the compiled step differs from the eager one, or from the step of another; restore the state."""
        tensors, stack = StepTensors(self.eager, []), Stack.of(x.unsqueeze(0), y.unsqueeze(0))
        before, exact = TensorState.save(tensors.changed, x.device), None if is_strict else self.exact
        make = other or self.eager
        _, difference = make_checked_step(lambda: make([stack]), tensors, self.loop, exact, self.update, stack)
        before.restore()
        return difference


@torch.no_grad()
def compile_training(
    model: nn.Module, criterion: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float | None = None
) -> CompiledTraining:
    """Make an eager step, then compile one."""
    eager = EagerStep(model, criterion, optimizer, clip)
    eager.update(x, y)
    update = make_update(optimizer)
    assert update is not None
    with own_cache():
        step = record_step(eager, x, y)
        assert isinstance(step.compiled, CompiledLoops)
        return CompiledTraining(eager, step.compiled.find(update), step.exact)


@torch.no_grad()
def record_step(eager: EagerStep, x: Tensor, y: Tensor) -> RecordedStep:
    """Return the recorded step on a batch. Raise Uncompilable if it cannot be recorded or compiled."""
    recorded = RecordedSteps()
    replay = ReplayStep(eager, recorded, compile_trace)
    replay.record(Stack.of(x.unsqueeze(0), y.unsqueeze(0)))
    if replay.fallback_reason is not None:
        raise Uncompilable(replay.fallback_reason)
    step = recorded.by_batch_size[len(x)]
    if isinstance(step.compiled, str):
        raise Uncompilable(step.compiled)
    return step


@torch.no_grad()
def check_steps(
    model: nn.Module,
    criterion: nn.Module,
    optimizer: Optimizer,
    xs: Tensor,
    ys: Tensor,
    clip: float | None = None,
    is_strict: bool = False,
) -> None:
    """Make eager steps, and before each check that the compiled one would be the same within the stated tolerance.

    Args:
        is_strict: Whether the tolerance holds also where rounding moves the eager step further from float64.
    """
    compiled = compile_training(model, criterion, optimizer, xs[0].clone(), ys[0].clone(), clip)
    for x, y in zip(xs, ys, strict=True):
        assert compiled.difference(x, y, is_strict) is None
        compiled.eager.update(x, y)
