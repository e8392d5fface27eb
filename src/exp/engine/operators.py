"""Find the fastest Python entry point to an operator, and the variant of it that writes into given memory.

A call of `torch.mm` takes half the time of the operator's own entry point. torch does not document which function calls
which operator, so each candidate is called once in a mode that checks what reaches the dispatcher and computes nothing.

Measured with `python benchmarks/replay_parts.py`, one thread, torch 2.13, five workloads with small steps: a step
that calls `OpOverload` instead takes 1.31 to 1.53 times as long, one that calls the operator's own entry point 1.17 to
1.29 times, and one without out-variants 1.17 to 1.38 times.
"""

# pyright: reportPrivateUsage=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from exp.engine.trace import DispatchMode, OpCall, flatten, is_view

_NAMESPACES = (torch, torch._C._nn, Tensor)
_has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key


def fastest_callable(call: OpCall) -> tuple[Callable[..., Any], OpCall]:
    """Return the fastest function that makes `call`, and the call with the arguments that this function needs.

    The arguments are spelled out where the function's defaults differ from the operator's.
    """
    for candidate in (call, _with_defaults(call)):
        for namespace in _NAMESPACES:
            function = getattr(namespace, call.name, None)
            if function is not None and _makes(function, candidate):
                return function, candidate
    return call.operator._op, call


def out_variant(call: OpCall) -> OpCall | None:
    """Return the same call writing into its own result, or None if the device has no kernel for such an operator."""
    # Preallocating a single number saves nothing, and reductions such as mse_loss use `out` as scratch memory.
    if not isinstance(call.result, Tensor) or call.result.dim() == 0 or call.written:
        return None
    packet = call.operator.overloadpacket
    wanted = [(argument.name, str(argument.type)) for argument in call.operator._schema.arguments]
    for name in packet.overloads():
        overload: OpOverload = getattr(packet, name)
        outs = [argument.name for argument in overload._schema.arguments if argument.is_out]
        rest = [(argument.name, str(argument.type)) for argument in overload._schema.arguments if not argument.is_out]
        key = call.result.device.type.upper()
        # Without a kernel of its own, the out-variant would allocate a result and copy it.
        if len(outs) == 1 and rest == wanted and _has_kernel(overload.name(), key):
            return OpCall(overload, call.args, {**call.kwargs, outs[0]: call.result}, call.result)
    return None


def _makes(function: Callable[..., Any], call: OpCall) -> bool:
    probe, before = _Probe(call), torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # also those warnings that torch shows once in a process
    try:
        with torch.no_grad(), warnings.catch_warnings(action="error"), probe:
            function(*call.args, **call.kwargs)
    except Exception:  # the candidate takes other arguments, or they are of a deprecated overload
        return False
    finally:
        torch.set_warn_always(before)
    return probe.calls == 1 and probe.same


class _Probe(DispatchMode):
    """Mode that returns the traced result of `call` instead of computing it, and checks that only `call` is made."""

    def __init__(self, call: OpCall) -> None:
        super().__init__()
        self._call = call
        self.calls = 0
        self.same = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        actual = _with_defaults(OpCall(func, args, kwargs or {}, None))
        expected = _with_defaults(self._call)
        ours, theirs = flatten((expected.args, expected.kwargs)), flatten((actual.args, actual.kwargs))
        self.same &= func is self._call.operator and len(ours) == len(theirs)
        self.same &= all(_is_same(a, b) for a, b in zip(ours, theirs, strict=False))
        # A view must be made: torch links it to its base, and the traced one is linked already.
        return func(*args, **(kwargs or {})) if is_view(func) else self._call.result


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, Tensor) and type(a) is type(b) and a == b)


def _with_defaults(call: OpCall) -> OpCall:
    """Return the call with all positional arguments of the schema, defaults included."""
    positional = [argument for argument in call.operator._schema.arguments if not argument.kwarg_only]
    rest = [argument.default_value for argument in positional[len(call.args) :]]
    return OpCall(call.operator, (*call.args, *rest), call.kwargs, call.result)
