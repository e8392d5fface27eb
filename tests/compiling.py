"""Compile functions and steps for tests, and compare them with torch."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from exp.compiled.compile_step import CompiledWindow, compile_step
from exp.compiled.self_check import find_difference, state_tensors, update_numbers
from exp.compiled.update_loops import describe_updates
from exp.engine.step import EagerStep
from exp.engine.trace import Trace

# Of these tests' libraries, which are not kept in the user's cache.
_CACHE = tempfile.mkdtemp(prefix="exp-compiled-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)


def compile_apart(*arguments: Any) -> CompiledWindow:
    """Compile a step in a cache of this process, unless EXP_CACHE names another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXP_CACHE", os.environ.get("EXP_CACHE", _CACHE))
        return compile_step(*arguments)


class CompiledFunction:
    """A function of tensors, compiled for their shapes; it takes other values too."""

    def __init__(self, function: Callable[..., Tensor], *inputs: Tensor) -> None:
        self._first, *self._others = [tensor.clone() for tensor in inputs]
        self._y = torch.zeros(1)
        with torch.no_grad(), Trace() as trace:
            result = function(self._first, *self._others).float().clone()
            loss = result.sum()
        arguments = (trace.calls, self._first, self._y, self._others, (loss, result, []), [])
        self._window = compile_apart(*arguments)

    def __call__(self, first: Tensor, *others: Tensor) -> Tensor:
        for own, other in zip(self._others, others, strict=True):
            own.copy_(other)
        _, results = self._window.play([], first.unsqueeze(0).contiguous(), self._y.unsqueeze(0), torch.zeros(1))
        return results[0]


def assert_equal_to_torch(
    function: Callable[..., Tensor], *inputs: Tensor, rtol: float = 4e-7, atol: float = 1e-37
) -> None:
    """Check that the compiled function gives what torch gives, NaN and inf included."""
    torch.testing.assert_close(
        CompiledFunction(function, *inputs)(*inputs), function(*inputs).float(), rtol=rtol, atol=atol, equal_nan=True
    )


@dataclass
class CompiledTraining:
    """A model whose first step was eager, and a window that makes the next ones."""

    eager: EagerStep
    window: CompiledWindow

    def play(self, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
        optimizer = self.eager.optimizer
        return self.window.play(state_tensors(optimizer), xs, ys, update_numbers(optimizer, len(xs)))


def compile_training(
    model: nn.Module, criterion: nn.Module, optimizer: Optimizer, x: Tensor, y: Tensor, clip: float | None = None
) -> CompiledTraining:
    """Make an eager step, then compile one."""
    eager = EagerStep(model, criterion, optimizer, clip)
    with torch.no_grad():
        eager.update(x, y)
        with Trace() as trace:
            gradients = eager.compute_gradients(x, y)
        fixed = [*eager.parameters, *model.buffers(), *criterion.buffers()]
        return CompiledTraining(eager, compile_apart(trace.calls, x, y, fixed, gradients, describe_updates(optimizer)))


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
    with torch.no_grad():
        for x, y in zip(xs, ys, strict=True):
            assert find_difference(compiled.eager, compiled.window, x, y, is_strict) is None
            compiled.eager.update(x, y)
