"""Reduce a trace to a program: a list of operator calls without those that give the same tensor at every step.

The program contains no autograd and no modules. Results that do not outlive their step are written into preallocated
memory, so a view of one is also the same tensor at every step. A loop over batches runs it: python_loop.py and others.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exp.engine.memory_plan import MemoryPlan
from exp.engine.operators import out_variant
from exp.engine.step import Gradients
from exp.engine.symbol_table import SymbolTable
from exp.engine.trace import OpCall, find_tensors, flatten, is_view, storage_id

_ATEN = torch.ops.aten


# Operators that return the same tensor under another name.
_ALIASES = {_ATEN.detach.default, _ATEN.alias.default, _ATEN.lift_fresh.default}


# Operators whose result depends on shapes alone. It is computed once unless a later call writes into it.
_CONSTANTS = {_ATEN.ones_like.default, _ATEN.zeros_like.default, _ATEN.full_like.default, _ATEN.full.default}


# Operators that allocate memory for a later call to write into.
_EMPTY = {_ATEN.empty_like.default, _ATEN.empty.memory_format, _ATEN.empty_strided.default, _ATEN.new_empty.default}


@dataclass(frozen=True)
class Statement:
    """An operator call of a program.

    Args:
        targets: Names of its results, in order; `_` for those that are not needed. None: it returns a tensor that it
            writes into.
        defines: Names of the values that it computes or writes into.
        uses: Names of the values that it reads.
        last_used: Names of the values that no later statement uses.
    """

    call: OpCall
    targets: list[str] | None
    defines: set[str]
    uses: set[str]
    has_side_effect: bool
    last_used: list[str]

    @property
    def assignment(self) -> str:
        """What stands left of the call in source code."""
        if self.targets is None:
            return ""
        targets = ", ".join(self.targets)
        return f"{targets} = " if isinstance(self.call.result, Tensor) else f"({targets},) = "


@dataclass(frozen=True)
class Program:
    """A step on a batch x, y. `symbols` has the tensors that are the same at every step.

    Args:
        loss, output: Names of the values.
        gradients: Name of the gradient of each parameter; None if the loss does not depend on it.
    """

    statements: list[Statement]
    symbols: SymbolTable
    loss: str
    output: str
    gradients: list[str | None]


def write_program(
    calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
) -> Program:
    """Reduce a trace to a program for other batches.

    Args:
        calls: The operator calls of one step.
        x, y: The batch that the trace was captured with.
        fixed: Parameters and buffers. Programs read their values at each step, so they must keep their storage.
        gradients: Loss, outputs and gradients that the calls computed.

    Tensors that are neither inputs, nor in `fixed`, nor produced by the trace are treated as constants.
    """
    writer = _Writer(calls, x, y, fixed, gradients)
    for call in calls:
        writer.add(call)
    return writer.finish()


class _Writer:
    """Writes a program in four passes over the calls.

    1. Fold constants: a call whose result is the same at every step is made once, now.
    2. Fold views: a view of preallocated memory is the same tensor at every step, so it is made once.
    3. Plan memory: a result that does not outlive its step is written into preallocated memory.
    4. Drop dead statements: a statement that nothing depends on is removed.

    Passes 1 to 3 process one call after the other, because each needs the names given by the calls before it.
    """

    def __init__(
        self, calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
    ) -> None:
        self._gradients = gradients
        self._symbols = SymbolTable()
        self._symbols.set_name(x, "x")
        self._symbols.set_name(y, "y")
        self._statements: list[Statement] = []
        self._written = {storage_id(tensor) for call in calls for tensor in call.written}
        # A traced tensor has its last shape, which an operator such as unsqueeze_ may have changed.
        reshaping = [call for call in calls if torch.Tag.inplace_view in call.operator.tags]
        self._reshaped = {storage_id(tensor) for call in reshaping for tensor in call.written}
        loss, output, kept = gradients
        # These outlive their step, so they are new tensors at every step.
        self._returned = {storage_id(loss), storage_id(output)}
        self._memory = MemoryPlan(calls, kept)
        for tensor in fixed:
            self._symbols.bind_tensor(tensor, tensor.detach())

    def add(self, call: OpCall) -> None:
        """Apply passes 1 to 3 to the next call, which becomes a statement unless a pass replaces it."""
        for tensor in call.inputs:
            self._symbols.name(tensor)  # binds those from outside the trace
        if not (self._fold_constant(call) or self._fold_view(call) or self._plan_memory(call)):
            self._add_statement(call)
        self._memory.advance()

    def finish(self) -> Program:
        """Apply pass 4 to all statements."""
        loss, output, gradients = self._gradients
        symbols = self._symbols
        names = [None if tensor is None else symbols.name(tensor) for tensor in gradients]
        needed = {symbols.base(tensor) for tensor in (loss, output, *gradients) if tensor is not None}
        return Program(self._live_statements(needed), symbols, symbols.name(loss), symbols.name(output), names)

    def _fold_constant(self, call: OpCall) -> bool:
        """Pass 1: make an alias another name of its input, and a result that depends on shapes alone a constant."""
        if call.operator in _ALIASES:
            self._symbols.set_name(call.result, self._symbols.name(call.inputs[0]))
        elif call.operator in _CONSTANTS and self._storages(call).isdisjoint(self._written):
            self._symbols.bind_tensor(call.result, call.result.detach())
        else:
            return False
        return True

    def _fold_view(self, call: OpCall) -> bool:
        """Pass 2: make a view of bound tensors once, and bind it."""
        symbols = self._symbols
        if not is_view(call.operator) or any(symbols.name(tensor) not in symbols.bound for tensor in call.inputs):
            return False
        view = call.operator(*symbols.with_bound_tensors(call.args), **symbols.with_bound_tensors(call.kwargs))
        for tensor, twin in zip(call.outputs, find_tensors(view), strict=True):
            symbols.bind_view(tensor, twin, of=call.inputs[0])
        return True

    def _plan_memory(self, call: OpCall) -> bool:
        """Pass 3: allocate once, and use the out-variant of an operator where it has one."""
        if not self._storages(call).isdisjoint(self._returned | self._reshaped):
            return False
        if call.operator in _EMPTY:
            self._symbols.bind_tensor(call.result, self._memory.allocate(call.result))
            return True
        in_place = out_variant(call)
        if in_place is None:
            return False
        uses = self._uses(call)
        name = self._symbols.bind_tensor(call.result, self._memory.allocate(call.result))
        self._statements.append(Statement(in_place, None, {name}, uses, call.is_random, []))
        return True

    def _add_statement(self, call: OpCall) -> None:
        """Append a statement that makes the call at every step."""
        written = {self._symbols.base(tensor) for tensor in call.written}
        uses = self._uses(call)
        targets: list[str] = []
        own = {id(tensor) for tensor in call.written}
        for position, item in enumerate(flatten(call.result)):
            if isinstance(item, Tensor) and id(item) not in own:  # an argument that is written into may be returned
                targets.append(f"v{len(self._statements)}_{position}")
                self._symbols.set_name(item, targets[-1])
            else:
                targets.append("_")
        defines = {target for target in targets if target != "_"} | written
        self._statements.append(
            Statement(
                call,
                targets if defines - written else None,
                defines,
                uses,
                has_side_effect=bool(written) or call.is_random or call.only_checks,
                last_used=[],
            )
        )

    def _live_statements(self, needed: set[str]) -> list[Statement]:
        """Pass 4: keep statements with side effects and those that a later one, or the end of the step, depends on."""
        needed, used_later = set(needed), {*needed, *self._symbols.bound, "x", "y"}
        live: list[Statement] = []
        for statement in reversed(self._statements):
            if statement.has_side_effect or not needed.isdisjoint(statement.defines):
                needed |= statement.uses
                live.append(replace(statement, last_used=sorted(statement.uses - used_later)))
                used_later |= statement.uses
        return live[::-1]

    def _storages(self, call: OpCall) -> set[int]:
        return {storage_id(tensor) for tensor in call.outputs}

    def _uses(self, call: OpCall) -> set[str]:
        return {self._symbols.base(tensor) for tensor in call.inputs}
