"""A program as a TorchScript function, whose loop over batches and update run in torch's own interpreter.

It calls the same operators in the same order as python_loop.py, so it gives the same bits, in two thirds of the time of
a small step (`python benchmarks/replay_parts.py`). Only the loss may come after all steps (deferred_loss.py). Compiling
takes some 10 ms. TorchScript is no longer developed, but torch 2.13 and 2.15 compile and run these functions without a
warning.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateUsage=false, reportPrivateImportUsage=false
import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from exp.data.stack import Stack
from exp.engine.deferred_loss import find_deferred_loss
from exp.engine.program import Program, Statement
from exp.engine.python_loop import LoopOutputs
from exp.engine.trace import OpCall
from exp.engine.updates import BareUpdate, Update, UpdateKey

# Steps after which it pays to compile a function: it saves some 7 us a step.
_STEPS_BEFORE_SCRIPT = 1000

# Types of values whose repr TorchScript reads.
_LITERALS = (bool, int, str, type(None), torch.dtype, torch.layout, torch.memory_format)


class NotScriptableError(Exception):
    """TorchScript cannot express a program."""


class ScriptLoops:
    """The functions of a program's step with different updates.

    Raises:
        NotScriptableError: TorchScript cannot express the step.
    """

    def __init__(self, program: Program) -> None:
        self._steps = 0
        self._compiled: dict[UpdateKey, ScriptLoop] = {}
        self._names: list[str] = []  # of the constants
        self._constants: list[Tensor] = []
        self._symbols = program.symbols
        deferred = find_deferred_loss(program)
        self._lines = [self._write(statement) for statement in program.statements if statement is not deferred]
        self._gradients = [self._name(name) for name in program.gradients]
        self._loss, self._output = program.loss, program.output
        self._losses_after = None if deferred is None else self._write_losses(deferred.call)
        del self._symbols  # it refers to the tensors of the trace

    def find(self, update: Update, count: int) -> "ScriptLoop | None":
        """Return the function with updates like `update`, once enough steps have been made.

        Raises:
            RuntimeError, OSError: TorchScript does not accept it, or there is no source of the update.
        """
        self._steps += count
        if self._steps < _STEPS_BEFORE_SCRIPT or not isinstance(update, BareUpdate):
            return None
        if update.key not in self._compiled:
            self._compiled[update.key] = self._compile(update)
        return self._compiled[update.key]

    def _compile(self, update: BareUpdate) -> "ScriptLoop":
        names = [group.function.__name__ for group in update.groups]
        groups = range(len(names))
        parts = [f"gradients[{part.start}:{part.stop}]" for part in update.parts]
        body = [
            *self._lines,
            f"gradients = [{', '.join(self._gradients)}]",
            *(f"{names[i]}({parts[i] if len(parts) > 1 else 'gradients'}, tensors_{i}, numbers_{i})" for i in groups),
            *([] if self._losses_after else [f"losses.append({self._loss})"]),
            f"outputs.append({self._output})",
        ]
        each = "".join(f", numbers_{i}" for i in groups), "".join(f", numbers[{i}]" for i in groups)
        source = [
            *(textwrap.dedent(inspect.getsource(function)) for function in {g.function for g in update.groups}),
            "def loop(xs: Tensor, ys: Tensor, tensors: list[list[list[Tensor]]], numbers: list[list[list[float]]],",
            "    constants: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:",
            f"    {', '.join(self._names)}, = constants",
            *(f"    tensors_{i} = tensors[{i}]" for i in groups),
            "    losses: list[Tensor] = []",
            "    outputs: list[Tensor] = []",
            "    gradients: list[Tensor] = []",
            f"    for x, y{each[0]} in zip(xs.unbind(), ys.unbind(){each[1]}):",
            *(f"        {line}" for line in body),
            f"    return {self._losses_after or 'torch.stack(losses)'}, torch.cat(outputs), gradients",
            "",
        ]
        return ScriptLoop(torch.jit.CompilationUnit("\n".join(source)), self._constants)

    def _write(self, statement: Statement) -> str:
        call = statement.call
        if call.only_checks:
            raise NotScriptableError(f"TorchScript leaves out {call.name}, which has no result")
        named = [f"{key}={self._write_value(value)}" for key, value in call.kwargs.items()]
        arguments = ", ".join([*map(self._write_value, call.args), *named])
        return f"{statement.assignment}torch.ops.{_operator_name(call)}({arguments})"

    def _write_losses(self, call: OpCall) -> str:
        """Return the mean losses of all batches, from the outputs and the targets of the window."""
        _, _, *others = {**call.arguments, "reduction": 0}.items()  # the loss of each value
        named = "".join(f", {key}={self._write_value(value)}" for key, value in others)
        each = f"torch.ops.{_operator_name(call)}(torch.stack(outputs), ys{named})"
        return f"{each}.flatten(1).mean([1])"

    def _write_value(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self._name(self._symbols.name(value))
        if isinstance(value, list):
            return f"[{', '.join(map(self._write_value, value))}]"
        if isinstance(value, float):
            return repr(value) if abs(value) < float("inf") else f"float('{value}')"
        if isinstance(value, torch.device):
            return f"torch.device('{value}')"
        if isinstance(value, _LITERALS):
            return repr(value)
        raise NotScriptableError(f"TorchScript has no literal of {type(value).__name__}")

    def _name(self, name: str | None) -> str:
        """Return the name; a tensor that is the same at every step becomes an argument."""
        if name is None:
            raise NotScriptableError("the loss does not depend on each parameter")
        if name in self._symbols.bound and name not in self._names:
            self._names.append(name)
            self._constants.append(self._symbols.bound[name])
        return name


def _operator_name(call: OpCall) -> str:
    return call.operator._schema.name.replace("::", ".")


class ScriptLoop:
    """A compiled loop. The update must be like the one that it was compiled for."""

    window = 1

    def __init__(self, unit: torch.jit.CompilationUnit, constants: Sequence[Tensor]) -> None:
        self._function: Any = unit.loop
        self._constants = list(constants)

    def run(self, stack: Stack, update: Update) -> LoopOutputs:
        assert isinstance(update, BareUpdate)
        tensors, numbers = [group.tensors for group in update.groups], update.take_numbers(len(stack))
        try:
            with torch.jit.optimized_execution(False):  # the operators as they are, in order
                return self._function(stack.x, stack.y, tensors, numbers, self._constants)
        except RuntimeError as error:  # it has the source of the loop, and then the error of the operator
            raise RuntimeError(str(error).rpartition("\nRuntimeError: ")[2].strip()) from error
