"""A program as a Python loop over batches that calls the operators directly."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from exp.data.stack import Batch, Stack
from exp.engine.operators import fastest_callable
from exp.engine.program import Program, Statement
from exp.engine.symbol_table import SymbolTable
from exp.engine.trace import OpCall
from exp.engine.updates import NoUpdate, Update

# Losses [n], outputs [n * B, K], and the gradients of the last step.
LoopOutputs: TypeAlias = tuple[Tensor, Tensor, list[Tensor | None]]

# (batches, update, append_loss, append_output) -> the gradients of the last step.
_Function: TypeAlias = Callable[
    [Iterable[Batch], Callable[[list[Any]], None], Callable[[Tensor], None], Callable[[Tensor], None]],
    list[Tensor | None],
]

_NO_UPDATE = NoUpdate().prepare(1)


class Loop(Protocol):
    """Makes the step of a program on each batch of a stack. Call it in inference mode."""

    @property
    def window(self) -> int:
        """It takes multiples of this number of batches."""
        ...

    def run(self, stack: Stack, update: Update) -> LoopOutputs: ...


class PythonLoop:
    """A loop that can make any update."""

    window = 1

    def __init__(self, program: Program) -> None:
        self._function = _compile(program)

    def run(self, stack: Stack, update: Update) -> LoopOutputs:
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        gradients = self._function(stack, update.prepare(len(stack)), losses.append, outputs.append)
        return torch.stack(losses), outputs[0] if len(outputs) == 1 else torch.cat(outputs), gradients

    def compute(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss and the outputs of one batch, without an update."""
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        self._function([(x, y)], _NO_UPDATE, losses.append, outputs.append)
        return losses[0], outputs[0]


def _compile(program: Program) -> _Function:
    """Compile a function whose local variables are the values of the step."""
    symbols = program.symbols
    body = [line for statement in program.statements for line in _write_lines(statement, symbols)]
    if all(name is None or name in symbols.bound for name in program.gradients):
        gradients = symbols.bind([None if name is None else symbols.bound[name] for name in program.gradients])
    else:
        gradients = f"[{', '.join(str(name) for name in program.gradients)}]"
    # As default arguments, operators and constants are local variables, which are the fastest to look up.
    source = [
        f"def loop(batches, update, losses, outputs, {', '.join(f'{name}={name}' for name in symbols.bound)}):",
        "    for x, y in batches:",
        *(f"        {line}" for line in body),
        f"        gradients = {gradients}",
        "        update(gradients)",
        f"        losses({program.loss})",
        f"        outputs({program.output})",
        "    return gradients",
    ]
    space = dict(symbols.bound)
    exec(compile("\n".join(source), "<replayed step>", "exec"), space)
    function: _Function = space["loop"]
    return function


def _write_lines(statement: Statement, symbols: SymbolTable) -> list[str]:
    """Return the source of the call, and of the release of values that are not needed any more."""
    source = f"{statement.assignment}{_write_call(statement.call, symbols)}"
    return [source, *([f"{' = '.join(statement.last_used)} = None"] if statement.last_used else [])]


def _write_call(call: OpCall, symbols: SymbolTable) -> str:
    function, call = fastest_callable(call)
    named = [f"{key}={symbols.source(value)}" for key, value in call.kwargs.items()]
    return f"{symbols.bind(function)}({', '.join([*map(symbols.source, call.args), *named])})"
