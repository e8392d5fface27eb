"""A recording played again: written out as one Python loop over batches whose calls go straight to the operators.

What is left out: autograd, modules, and everything that gives the same tensor every time. Results that do not outlive
their step are written into memory of their own, the same at every step; so a view of one is the same tensor at every
step too, and is made once.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exp.data.batches import Batch
from exp.engine.operators import fastest_callable, out_variant
from exp.engine.step import Gradients, StepOutputs
from exp.engine.trace import OpCall, is_view, leaves_of, tensors_of

# Makes steps on batches, as long as they are of the size that was recorded; returns the first that is not, or None.
# What is done with a step's gradients, before the next step overwrites them, comes from outside.
CompiledStep: TypeAlias = Callable[[Iterable[Batch], Callable[[list[Tensor | None]], None], StepOutputs], Batch | None]


_ATEN = torch.ops.aten


# The same tensor under another name.
_ALIASES = {_ATEN.detach.default, _ATEN.alias.default, _ATEN.lift_fresh.default}


# What depends on shapes alone, and may be computed once if nobody writes into it.
_CONSTANTS = {_ATEN.ones_like.default, _ATEN.zeros_like.default, _ATEN.full_like.default, _ATEN.full.default}


# Memory that whoever asked for it will write into.
_EMPTY = {_ATEN.empty_like.default, _ATEN.empty.memory_format, _ATEN.empty_strided.default, _ATEN.new_empty.default}


def compile_trace(
    calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
) -> CompiledStep:
    """What makes `calls` again for other batches, on the tensors `fixed` as they then are.

    `x` and `y` are the ones that were recorded with; `fixed` are parameters and buffers, which keep their place in
    memory. Any other tensor that the calls did not make is taken for a constant.
    """
    writer = _Writer(calls, x, y, fixed, gradients)
    for call in calls:
        writer.add(call)
    return writer.function()


@dataclass
class _Line:
    """One statement of the loop."""

    targets: str
    expression: str
    makes: set[str]  # names of the values that it computes, and of those that it needs
    needs: set[str]
    has_side_effect: bool


class _Writer:
    """Turns calls into the source of one loop, dropping what need not be done at every step."""

    def __init__(
        self, calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
    ) -> None:
        self._size = len(x)
        self._gradients = gradients
        self._names: dict[int, str] = {id(x): "x", id(y): "y"}
        self._bound: dict[str, Any] = {}  # what the function holds on to: name -> function, tensor or other constant
        self._base: dict[str, str] = {}  # a view that is made once -> what it is a view of
        self._lines: list[_Line] = []
        self._written = {_storage(tensor) for call in calls for tensor in call.written}
        loss, output, kept = gradients
        self._leaving = {_storage(loss), _storage(output)}  # new tensors at every step
        self._memory = _MemoryPlan(calls, kept)
        for tensor in fixed:
            self._names[id(tensor)] = self._hold(tensor.detach())

    def add(self, call: OpCall) -> None:
        used = [self._name(tensor) for tensor in call.inputs]
        made = {_storage(tensor) for tensor in call.outputs}
        if call.operator in _ALIASES:
            self._names[id(call.result)] = used[0]
        elif call.operator in _CONSTANTS and made.isdisjoint(self._written):
            self._names[id(call.result)] = self._hold(call.result.detach())
        elif is_view(call.operator) and all(name in self._bound for name in used):
            view = call.operator(*self._there(call.args), **self._there(call.kwargs))
            for tensor, twin in zip(call.outputs, tensors_of(view), strict=True):
                self._names[id(tensor)] = self._hold(twin)
                self._base[self._names[id(tensor)]] = self._base.get(used[0], used[0])
        elif call.operator in _EMPTY and made.isdisjoint(self._leaving):
            self._names[id(call.result)] = self._hold(self._memory.place(call.result))
        else:
            self._emit(call, used, made)
        self._memory.next()

    def function(self) -> CompiledStep:
        loss, output, gradients = self._gradients
        names = [None if tensor is None else self._name(tensor) for tensor in gradients]
        if all(name is None or name in self._bound for name in names):
            given = self._hold([None if name is None else self._bound[name] for name in names])
        else:
            given = f"[{', '.join(str(name) for name in names)}]"
        ends = [self._name(loss), self._name(output)]
        needed = {self._base.get(name, name) for name in (*ends, *names) if name is not None}
        last = [f"update({given})", f"losses({ends[0]})", f"outputs({ends[1]})", "targets(y)"]
        kept: list[str] = []
        stay = {*needed, *self._bound, "x", "y"}
        for line in reversed(self._lines):
            if line.has_side_effect or not needed.isdisjoint(line.makes):
                done = sorted(name for name in line.needs if name not in needed and name not in stay)
                needed |= line.needs
                # Let go of what is not used again, so that memory is that of the eager step.
                kept += [f"{' = '.join(done)} = None"] if done else []
                kept.append(f"{line.targets} = {line.expression}" if line.targets else line.expression)
        # As defaults, the operators and constants are found as fast as arguments are.
        source = [
            f"def play(batches, update, made, {', '.join(f'{name}={name}' for name in self._bound)}):",
            "    losses, outputs, targets = made.losses.append, made.outputs.append, made.targets.append",
            "    for x, y in batches:",
            f"        if x.size(0) != {self._size}:",
            "            return x, y",
            *(f"        {line}" for line in [*reversed(kept), *last]),
        ]
        space = dict(self._bound)
        exec(compile("\n".join(source), "<recording>", "exec"), space)
        play: CompiledStep = space["play"]
        return play

    def _emit(self, call: OpCall, used: list[str], made: set[int]) -> None:
        """A line that makes the call at every step."""
        needs = {self._base.get(name, name) for name in used}
        written = {self._base.get(self._name(tensor), self._name(tensor)) for tensor in call.written}
        in_place = out_variant(call) if made.isdisjoint(self._leaving) else None
        if in_place is not None:
            place = self._memory.place(call.result)
            name = self._names[id(call.result)] = self._hold(place)
            self._lines.append(_Line("", self._text_of(in_place), {name}, needs, has_side_effect=call.is_random))
            return
        targets: list[str] = []
        own = {id(tensor) for tensor in call.written}
        for position, item in enumerate(leaves_of(call.result)):
            if isinstance(item, Tensor) and id(item) not in own:  # one that is written into is returned
                self._names[id(item)] = f"v{len(self._lines)}_{position}"
                targets.append(self._names[id(item)])
            else:
                targets.append("_")
        makes = {target for target in targets if target != "_"} | written
        must_stay = bool(written) or call.is_random
        single = isinstance(call.result, Tensor) or not targets
        told = ", ".join(targets) if single else f"({', '.join(targets)},)"
        self._lines.append(_Line(told if makes - written else "", self._text_of(call), makes, needs, must_stay))

    def _text_of(self, call: OpCall) -> str:
        function, call = fastest_callable(call)
        named = [f"{key}={self._text(value)}" for key, value in call.kwargs.items()]
        return f"{self._hold(function)}({', '.join([*(self._text(value) for value in call.args), *named])})"

    def _text(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self._name(value)
        if isinstance(value, tuple):
            return f"({''.join(f'{self._text(item)}, ' for item in value)})"
        if isinstance(value, list) and tensors_of(value):
            return f"[{', '.join(self._text(item) for item in value)}]"
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        return self._hold(value)

    def _there(self, value: Any) -> Any:
        """The arguments `value` with every tensor as it is at every step."""
        if isinstance(value, Tensor):
            return self._bound[self._name(value)]
        if isinstance(value, dict):
            return {key: self._there(item) for key, item in value.items()}
        return type(value)(self._there(item) for item in value) if isinstance(value, (tuple, list)) else value

    def _name(self, tensor: Tensor) -> str:
        if id(tensor) not in self._names:
            self._names[id(tensor)] = self._hold(tensor.detach())
        return self._names[id(tensor)]

    def _hold(self, value: Any) -> str:
        for name, held in self._bound.items():
            if held is value:
                return name
        name = f"k{len(self._bound)}"
        self._bound[name] = value
        return name


@dataclass
class _MemoryPlan:
    """Places for results that do not outlive their step; one whose result is used no more is given to another.

    Giving places to other results saves 6 % of a full-batch step of 1,100 rows through five layers, and takes 0.7 MB
    instead of 4.3 MB (`python benchmarks/replay_parts.py`); small steps are as fast without.
    """

    calls: Sequence[OpCall]
    kept: Sequence[Tensor | None]  # to the end of the step
    _at: int = 0
    _last: dict[int, int] = field(default_factory=dict[int, int])  # storage -> the last call that has to do with it
    _taken: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    _free: list[Tensor] = field(default_factory=list[Tensor])

    def __post_init__(self) -> None:
        for position, call in enumerate(self.calls):
            self._last |= {_storage(tensor): position for tensor in (*call.inputs, *call.outputs)}
        self._last |= {_storage(tensor): len(self.calls) for tensor in self.kept if tensor is not None}

    def place(self, result: Tensor) -> Tensor:
        """A tensor shaped and laid out as `result`."""
        size = result.untyped_storage().nbytes()
        fitting = [block for block in self._free if block.numel() >= size]
        block = min(fitting, key=Tensor.numel, default=None)
        if block is None:
            block = torch.empty(size, dtype=torch.uint8, device=result.device)
        else:
            self._free = [other for other in self._free if other is not block]
        self._taken[_storage(result)] = block
        whole = block[: size - size % result.element_size()].view(result.dtype)
        return whole.as_strided(result.size(), result.stride(), result.storage_offset())

    def next(self) -> None:
        """One call further: what it was the last to use may be overwritten by the next."""
        for tensor in (*self.calls[self._at].inputs, *self.calls[self._at].outputs):
            storage = _storage(tensor)
            if self._last[storage] == self._at and storage in self._taken:
                self._free.append(self._taken.pop(storage))
        self._at += 1


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@dataclass
class CompiledSteps:
    """A model's recordings by the size of their batch, and the tensors that they write into besides the model's."""

    by_batch_size: dict[int, CompiledStep] = field(default_factory=dict[int, CompiledStep])
    written: list[Tensor] = field(default_factory=list[Tensor])
    some_without_gradient: bool = False
