"""Compile a trace into one Python loop over batches that calls the operators directly.

The loop contains no autograd, no modules, and nothing that gives the same tensor at every step. Results that do not
outlive their step are written into preallocated memory, so a view of one is also the same tensor at every step.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from exp.data.batches import Batch
from exp.engine.compiled_forward import CompiledForward
from exp.engine.memory_plan import MemoryPlan
from exp.engine.operators import fastest_callable, out_variant
from exp.engine.step import Gradients, StepOutputs
from exp.engine.symbol_table import SymbolTable
from exp.engine.trace import OpCall, find_tensors, flatten, is_view, storage_id

# (batches, update, outputs) -> the first batch of another size than the captured one, or None after the last batch.
# `update` gets the gradients of each step; the next step overwrites them. Losses, outputs and targets go to `outputs`.
CompiledStep: TypeAlias = Callable[[Iterable[Batch], Callable[[list[Tensor | None]], None], StepOutputs], Batch | None]


_ATEN = torch.ops.aten


# Operators that return the same tensor under another name.
_ALIASES = {_ATEN.detach.default, _ATEN.alias.default, _ATEN.lift_fresh.default}


# Operators whose result depends on shapes alone. It is computed once unless a later call writes into it.
_CONSTANTS = {_ATEN.ones_like.default, _ATEN.zeros_like.default, _ATEN.full_like.default, _ATEN.full.default}


# Operators that allocate memory for a later call to write into.
_EMPTY = {_ATEN.empty_like.default, _ATEN.empty.memory_format, _ATEN.empty_strided.default, _ATEN.new_empty.default}


def compile_trace(
    calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
) -> CompiledStep:
    """Compile a trace into a Python function that replays it on other batches.

    Args:
        calls: The operator calls of one step.
        x, y: The batch that the trace was captured with.
        fixed: Parameters and buffers. They are read at replay time, so they must keep their storage.
        gradients: Loss, outputs and gradients that the calls computed.

    Tensors that are neither inputs, nor in `fixed`, nor produced by the trace are treated as constants.
    """
    compiler = _Compiler(calls, x, y, fixed, gradients)
    for call in calls:
        compiler.add(call)
    return compiler.compile()


@dataclass
class _Statement:
    """One statement of the loop."""

    targets: str
    expression: str
    defines: set[str]  # names of the values that it computes or writes into
    uses: set[str]
    has_side_effect: bool


class _Compiler:
    """Compiler from operator calls to one Python loop, in five passes.

    1. Fold constants: a call whose result is the same at every step is made once, at compile time.
    2. Fold views: a view of preallocated memory is the same tensor at every step, so it is made once.
    3. Plan memory: a result that does not outlive its step is written into preallocated memory.
    4. Drop dead statements: a statement that nothing depends on is removed.
    5. Emit: the remaining statements become the body of a loop over batches.

    Passes 1 to 3 process one call after the other, because each needs the names given by the calls before it.
    """

    def __init__(
        self, calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
    ) -> None:
        self._batch_size = len(x)
        self._gradients = gradients
        self._symbols = SymbolTable()
        self._symbols.set_name(x, "x")
        self._symbols.set_name(y, "y")
        self._statements: list[_Statement] = []
        self._written = {storage_id(tensor) for call in calls for tensor in call.written}
        loss, output, kept = gradients
        self._returned = {
            storage_id(loss),
            storage_id(output),
        }  # outlive their step, so they are new tensors at every step
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

    def compile(self) -> CompiledStep:
        """Apply passes 4 and 5 to all statements."""
        loss, output, gradients = self._gradients
        symbols = self._symbols
        names = [None if tensor is None else symbols.name(tensor) for tensor in gradients]
        if all(name is None or name in symbols.bound for name in names):
            given = symbols.bind([None if name is None else symbols.bound[name] for name in names])
        else:
            given = f"[{', '.join(str(name) for name in names)}]"
        last = [f"update({given})", f"losses({symbols.name(loss)})", f"outputs({symbols.name(output)})", "targets(y)"]
        needed = {symbols.base(tensor) for tensor in (loss, output, *gradients) if tensor is not None}
        return self._emit([*self._with_releases(self._live_statements(needed), needed), *last])

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
        if not self._storages(call).isdisjoint(self._returned):
            return False
        if call.operator in _EMPTY:
            self._symbols.bind_tensor(call.result, self._memory.allocate(call.result))
            return True
        in_place = out_variant(call)
        if in_place is None:
            return False
        uses = self._uses(call)
        name = self._symbols.bind_tensor(call.result, self._memory.allocate(call.result))
        self._statements.append(_Statement("", self._call_source(in_place), {name}, uses, call.is_random))
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
        single = isinstance(call.result, Tensor) or not targets
        left = ", ".join(targets) if single else f"({', '.join(targets)},)"
        self._statements.append(
            _Statement(
                targets=left if defines - written else "",
                expression=self._call_source(call),
                defines=defines,
                uses=uses,
                has_side_effect=bool(written) or call.is_random,
            )
        )

    def _live_statements(self, needed: set[str]) -> list[_Statement]:
        """Pass 4: keep statements with side effects and those that a later one, or the end of the step, depends on."""
        needed = set(needed)
        live: list[_Statement] = []
        for statement in reversed(self._statements):
            if statement.has_side_effect or not needed.isdisjoint(statement.defines):
                needed |= statement.uses
                live.append(statement)
        return live[::-1]

    def _with_releases(self, statements: Sequence[_Statement], needed: set[str]) -> list[str]:
        """Return the statements as source, which releases each value after its last use, as an eager step does."""
        used_later = {*needed, *self._symbols.bound, "x", "y"}
        lines: list[str] = []
        for statement in reversed(statements):
            last_used = sorted(statement.uses - used_later)
            used_later |= statement.uses
            lines += [f"{' = '.join(last_used)} = None"] if last_used else []
            lines.append(f"{statement.targets} = {statement.expression}" if statement.targets else statement.expression)
        return lines[::-1]

    def _emit(self, body: Sequence[str]) -> CompiledStep:
        """Pass 5: compile a loop over batches with this body."""
        # As default arguments, operators and constants are local variables, which are the fastest to look up.
        source = [
            f"def replay(batches, update, results, {', '.join(f'{name}={name}' for name in self._symbols.bound)}):",
            "    losses, outputs, targets = results.losses.append, results.outputs.append, results.targets.append",
            "    for x, y in batches:",
            f"        if x.size(0) != {self._batch_size}:",
            "            return x, y",
            *(f"        {line}" for line in body),
        ]
        space = dict(self._symbols.bound)
        exec(compile("\n".join(source), "<replayed step>", "exec"), space)
        replay: CompiledStep = space["replay"]
        return replay

    def _call_source(self, call: OpCall) -> str:
        function, call = fastest_callable(call)
        source = self._symbols.source
        named = [f"{key}={source(value)}" for key, value in call.kwargs.items()]
        return f"{self._symbols.bind(function)}({', '.join([*map(source, call.args), *named])})"

    def _storages(self, call: OpCall) -> set[int]:
        return {storage_id(tensor) for tensor in call.outputs}

    def _uses(self, call: OpCall) -> set[str]:
        return {self._symbols.base(tensor) for tensor in call.inputs}


@dataclass
class CompiledSteps:
    """The compiled steps of one model and loss."""

    by_batch_size: dict[int, CompiledStep] = field(default_factory=dict[int, CompiledStep])
    written: list[Tensor] = field(default_factory=list[Tensor])  # tensors that steps change, besides the model's own
    forward: CompiledForward | None = None  # by torch.compile
    some_without_gradient: bool = False  # whether a step leaves a parameter without gradient
