"""A recording played again: written out as one Python function whose calls go straight to the operators.

What is left out: autograd, modules, and everything that gives the same tensor every time.
"""

# The dispatcher's side of torch is neither public in name nor typed.
# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from exp.recording import Call, leaves_of, tensors_of

_ATEN = torch.ops.aten
# The same tensor under another name.
_ALIASES = {_ATEN.detach.default, _ATEN.alias.default, _ATEN.lift_fresh.default}
# What depends on shapes alone, and may be computed once if nobody writes into it.
_CONSTANTS = {_ATEN.ones_like.default, _ATEN.zeros_like.default, _ATEN.full_like.default, _ATEN.full.default}

Play: TypeAlias = Callable[[Tensor, Tensor], Any]


def player(calls: Sequence[Call], x: Tensor, y: Tensor, fixed: Sequence[Tensor], results: Any) -> Play:
    """The function (x, y) -> `results` that makes `calls` again, on the tensors `fixed` as they then are.

    `x` and `y` are the ones that were recorded with; `fixed` are parameters and buffers, which keep their place in
    memory. Any other tensor that the calls did not make is taken for a constant.
    """
    writer = _Writer(x, y, fixed, {id(tensor) for call in calls for tensor in call.written})
    for call in calls:
        writer.add(call)
    return writer.function(results)


class _Writer:
    """Turns calls into the source of one function, dropping what need not be done at every step."""

    def __init__(self, x: Tensor, y: Tensor, fixed: Sequence[Tensor], written: set[int]) -> None:
        self._names: dict[int, str] = {id(x): "x", id(y): "y"}
        self._bound: dict[str, Any] = {}  # what the function holds on to: name -> operator, tensor or other constant
        self._invariant: set[str] = set()
        self._transposed: dict[str, str] = {}
        self._lines: list[tuple[list[str], str, list[str], bool]] = []  # targets, expression, names used, must stay
        self._written = written
        for tensor in fixed:
            self._names[id(tensor)] = self._hold(tensor.detach())

    def add(self, call: Call) -> None:
        operator = call.operator
        used = [self._name(tensor) for tensor in call.inputs]
        if operator in _ALIASES:
            self._names[id(call.result)] = used[0]
            return
        if operator is _ATEN.t.default and used[0] in self._transposed:
            self._names[id(call.result)] = self._transposed[used[0]]
            return
        fresh_each_step = any(id(tensor) in self._written for tensor in call.outputs)
        invariant = all(name in self._invariant for name in used)
        if (operator in _CONSTANTS and not fresh_each_step) or (call.is_view and invariant):
            name = self._names[id(call.result)] = self._hold(call.result.detach())
        else:
            name = self._emit(call, used)
        if operator is _ATEN.t.default:
            self._transposed[name] = used[0]

    def function(self, results: Any) -> Play:
        returned = self._text(results)
        needed = {self._name(tensor) for tensor in tensors_of(results)}
        kept: list[str] = []
        for targets, expression, used, must_stay in reversed(self._lines):
            if must_stay or not needed.isdisjoint(targets):
                done = [name for name in dict.fromkeys(used) if name not in (*needed, *self._bound, "x", "y")]
                needed.update(used)
                # Let go of what is not used again, so that memory is that of the eager step.
                kept += [f"    {' = '.join(done)} = None"] if done else []
                kept.append(f"    {', '.join(targets)} = {expression}")
        # As defaults, the operators and constants are found as fast as arguments are.
        head = f"def play(x, y, {', '.join(f'{name}={name}' for name in self._bound)}):"
        source = "\n".join([head, *reversed(kept), f"    return {returned}"])
        space = dict(self._bound)
        exec(compile(source, "<recording>", "exec"), space)
        play: Play = space["play"]
        return play

    def _emit(self, call: Call, used: list[str]) -> str:
        expression = f"{self._hold(_direct(call))}({self._arguments(call)})"
        own = {id(tensor): self._names[id(tensor)] for tensor in call.written if id(tensor) in self._names}
        targets: list[str] = []
        for position, tensor in enumerate(call.outputs):
            # An operator that writes into its argument returns that argument.
            name = own.get(id(tensor)) or f"v{len(self._lines)}_{position}"
            self._names[id(tensor)] = name
            targets.append(name if id(tensor) not in own else "_")
        if not isinstance(call.result, Tensor):
            whole = list(call.result) if isinstance(call.result, (tuple, list)) else []
            made = iter(targets)
            targets = [next(made) if isinstance(item, Tensor) else "_" for item in whole] or ["_"]
        self._lines.append((targets, expression, used, bool(call.written) or call.is_random))
        return targets[0]

    def _arguments(self, call: Call) -> str:
        named = [f"{key}={self._text(value)}" for key, value in call.kwargs.items()]
        return ", ".join([*(self._text(value) for value in call.args), *named])

    def _text(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self._name(value)
        if isinstance(value, tuple):
            return f"({''.join(f'{self._text(item)}, ' for item in value)})"
        if isinstance(value, list):
            return f"[{', '.join(self._text(item) for item in value)}]"
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        return self._hold(value)

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
        if isinstance(value, Tensor):
            self._invariant.add(name)
        return name


class _Probe(TorchDispatchMode):
    """Answers one call with the recorded result, without computing, and tells whether it was that very call."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        self.hits = 0
        self.same = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.hits += 1
        mine, theirs = leaves_of((self._call.args, self._call.kwargs)), leaves_of((args, kwargs or {}))
        self.same &= func is self._call.operator and len(mine) == len(theirs)
        self.same &= all(a is b or (not isinstance(a, Tensor) and a == b) for a, b in zip(mine, theirs, strict=False))
        return self._call.result


def _direct(call: Call) -> Callable[..., Any]:
    """The shortest way to the call's operator: torch's own binding if it is the same call, else the operator itself."""
    name = call.operator._schema.name.partition("::")[2]
    for place in (torch, torch._C._nn, torch._C._VariableFunctions, Tensor):
        binding = getattr(place, name, None)
        if binding is None:
            continue
        probe = _Probe(call)
        try:
            with torch.no_grad(), probe:
                binding(*call.args, **call.kwargs)
        except Exception:  # a binding that takes other arguments is not the one
            continue
        if probe.hits == 1 and probe.same:
            return binding
    return call.operator._op
