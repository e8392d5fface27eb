"""The fastest way from Python to an operator: torch's own function where it makes that very call, else the operator.

`torch.mm` costs half of what the operator's own entry point does. torch documents nowhere which function belongs to
which operator, so each candidate is called once in a mode that checks what arrives and computes nothing.

Worth, by `python benchmarks/replay_parts.py` on one thread with torch 2.13: on the five workloads with small steps, a
step that calls `OpOverload` instead takes 1.31 to 1.53 times as long, one that calls the operator's entry point 1.17 to
1.29 times, and one without out-variants 1.17 to 1.38 times.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from exp.engine.trace import Mode, OpCall, is_view, leaves_of

_PLACES = (torch, torch._C._nn, Tensor)


def fastest_callable(call: OpCall) -> tuple[Callable[..., Any], OpCall]:
    """What makes `call`, and the call with the arguments to make it with: some functions have other defaults."""
    name = call.operator._schema.name.partition("::")[2]
    for candidate in (call, _spelt_out(call)):
        for place in _PLACES:
            function = getattr(place, name, None)
            if function is not None and _makes(function, candidate):
                return function, candidate
    return call.operator._op, call


def out_variant(call: OpCall) -> OpCall | None:
    """The same call writing into a tensor that is there, namely its result; None if the device has no such operator."""
    # A single number is not worth a place, and reductions such as mse_loss use theirs for what they reduce.
    if not isinstance(call.result, Tensor) or call.result.dim() == 0 or call.written:
        return None
    packet = call.operator.overloadpacket
    wanted = [(argument.name, str(argument.type)) for argument in call.operator._schema.arguments]
    for name in packet.overloads():
        overload: OpOverload = getattr(packet, name)
        places = [argument.name for argument in overload._schema.arguments if argument.is_out]
        rest = [(argument.name, str(argument.type)) for argument in overload._schema.arguments if not argument.is_out]
        key = call.result.device.type.upper()
        # Where it has no kernel of its own, torch computes a tensor and copies it.
        if len(places) == 1 and rest == wanted and _has_kernel(overload.name(), key):
            return OpCall(overload, call.args, {**call.kwargs, places[0]: call.result}, call.result)
    return None


def _has_kernel(name: str, key: str) -> bool:
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, key))


def _makes(function: Callable[..., Any], call: OpCall) -> bool:
    probe = _Probe(call)
    try:
        with torch.no_grad(), probe:
            function(*call.args, **call.kwargs)
    except Exception:  # a function that takes other arguments is not the one
        return False
    return probe.hits == 1 and probe.same


class _Probe(Mode):
    """Answers one call with the recorded result, without computing, and tells whether it was that very call."""

    def __init__(self, call: OpCall) -> None:
        super().__init__()
        self._call = call
        self.hits = 0
        self.same = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.hits += 1
        arrived = _spelt_out(OpCall(func, args, kwargs or {}, None))
        expected = _spelt_out(self._call)
        theirs, mine = leaves_of((arrived.args, arrived.kwargs)), leaves_of((expected.args, expected.kwargs))
        self.same &= func is self._call.operator and len(mine) == len(theirs)
        self.same &= all(_is(a, b) for a, b in zip(mine, theirs, strict=False))
        # A view has to be made: torch ties it to its base, and the recorded one is tied already.
        return func(*args, **(kwargs or {})) if is_view(func) else self._call.result


def _is(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, Tensor) and type(a) is type(b) and a == b)


def _spelt_out(call: OpCall) -> OpCall:
    """The call with every positional argument that the schema has, the defaults too."""
    positional = [argument for argument in call.operator._schema.arguments if not argument.kwarg_only]
    rest = [argument.default_value for argument in positional[len(call.args) :]]
    if any(argument.name in call.kwargs for argument in positional):
        return call
    return OpCall(call.operator, (*call.args, *rest), call.kwargs, call.result)
