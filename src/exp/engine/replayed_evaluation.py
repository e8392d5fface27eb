"""Replay evaluations: the same rows pass through the same network many times in a run."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import torch
from torch import Tensor, nn

from exp.engine.hooks import HookCount, find_hook
from exp.engine.packages import are_of_libraries
from exp.engine.parameter_memory import ParameterMemory
from exp.engine.precision import Precision
from exp.engine.program import write_program
from exp.engine.python_loop import PythonLoop
from exp.engine.step import forward
from exp.engine.tensor_state import are_equal, unchanged
from exp.engine.trace import Trace, is_view

# x [N, F], y [N, ...] -> loss and outputs [N, K], in evaluation mode.
Evaluate: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# The shapes of x and y.
Rows: TypeAlias = tuple[torch.Size, torch.Size]

# Captured evaluations; None: these cannot be replayed.
Evaluations: TypeAlias = dict[Rows, PythonLoop | None]

# Rows times parameters above which the arithmetic takes nearly all the time. Below, memory that is used again saves up
# to a quarter.
_MAX_WORK = 2**30

# Numbers in all results of an evaluation above which the same holds; a replayed one would keep memory for them.
_MAX_RESULTS = 2**22

# How many evaluations are eager before one is captured, which costs as much time as replaying saves in some 20.
_EAGER = 2


class ReplayedEvaluations:
    """Evaluates, to the bit, by replaying captured evaluations. What cannot be replayed is evaluated eagerly.

    Args:
        network, criterion, precision: How evaluations compute. Their buffers must keep their storage.
        captured: Evaluations of the same network, which earlier jobs have captured. They are verified again.
    """

    def __init__(self, network: nn.Module, criterion: nn.Module, precision: Precision, captured: Evaluations) -> None:
        self._network, self._criterion, self._precision, self._captured = network, criterion, precision, captured
        self._eager: Counter[Rows] = Counter()  # how many evaluations of these rows were
        self._verified: set[PythonLoop] = set()
        parameters = [*network.parameters(), *criterion.parameters()]
        self._memory = ParameterMemory(parameters)
        self._hooks = HookCount((network, criterion))
        size = sum(parameter.numel() for parameter in parameters)
        # Code of the user's may compute something else at each call.
        is_replayable = are_of_libraries((network, criterion)) and all(parameter.is_cpu for parameter in parameters)
        self._max_rows = _MAX_WORK // max(1, size) if is_replayable else 0

    def __call__(self, x: Tensor, y: Tensor, evaluate: Evaluate) -> tuple[Tensor, Tensor]:
        """Return what `evaluate` returns."""
        if len(x) > self._max_rows or self._memory.find_change() is not None or self._hooks.is_changed():
            return evaluate(x, y)
        rows = x.shape, y.shape
        loop = self._captured.get(rows)
        if loop in self._verified:
            with torch.no_grad(), suppress(RuntimeError, IndexError):  # the eager evaluation explains it
                return loop.compute(x, y)
        results = evaluate(x, y)
        self._eager[rows] += 1
        if loop is not None:
            self._verify(rows, loop, results, x, y)
        elif rows not in self._captured and self._eager[rows] > _EAGER:
            self._captured[rows] = self._capture(x, y)
        return results

    def _capture(self, x: Tensor, y: Tensor) -> PythonLoop | None:
        """Return what replays the evaluation of these rows; None: it may compute something else the next time."""
        modules = self._network.eval(), self._criterion
        if find_hook(modules) is not None:
            return None
        buffers = [buffer for module in modules for buffer in module.buffers()]
        parameters = [parameter for module in modules for parameter in module.parameters()]
        try:
            with torch.no_grad(), unchanged(buffers, x.device), Trace() as trace:
                loss, output = forward(*modules, self._precision, x, y)
            has_effects = any(call.is_random for call in trace.calls) or trace.written_outside()
            results = sum(one.numel() for call in trace.calls if not is_view(call.operator) for one in call.outputs)
            if has_effects or trace.fallback_reason is not None or results > _MAX_RESULTS:
                return None
            return PythonLoop(write_program(trace.calls, x, y, [*parameters, *buffers], (loss, output, [])))
        except Exception:  # the evaluation was made already
            return None

    def _verify(self, rows: Rows, loop: PythonLoop, expected: tuple[Tensor, Tensor], x: Tensor, y: Tensor) -> None:
        is_equal = False
        with suppress(Exception), torch.no_grad():
            is_equal = are_equal(loop.compute(x, y), expected)
        if is_equal:
            self._verified.add(loop)
        else:
            self._captured[rows] = None
