"""Trace: the tensors that it keeps alive, and the bits of gradients inside it."""

import gc
import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from exp.engine.tensor_state import are_equal
from exp.engine.trace import Trace

# Their derivatives while calls are recorded: 0 * g instead of 0, or another order of a product or sum.
OTHER_DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda h: -h.max(),
    "min": lambda h: -h.amin(1).min(),
    "median": lambda h: -h.median(),
    "nanmedian": lambda h: -h.nanmedian(),
    "prod": lambda h: h.prod() + h.prod(1).sum(),
    "cumprod": lambda h: h.cumprod(1).sum() + (2 * h).cumprod_(0).sum(),
    "linalg_det": lambda h: (h.T @ h).det(),
    "masked_fill": lambda h: (h.masked_fill(h > 0, h.sum()) * h).sum() + (1 * h).masked_fill_(h > 0, h[0, 0]).sum(),
}
SAME_DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "max of rows": lambda h: h.max(1).values.sum() + h.amax(0).min(0).values + h.median(1).values.sum(),
    "max of two": lambda h: torch.max(h, 2 * h).sum(),
    "a number filled in": lambda h: h.masked_fill(h > 0, 0.0).sum() + h.masked_fill(h > 0, torch.zeros(())).sum(),
    "without derivative": lambda h: (h / h.detach().max()).sum(),
}


def gradient(function: Callable[[Tensor], Tensor]) -> Tensor:
    h = (torch.arange(-20.0, 22) / 13 - 0.1).reshape(7, 6).requires_grad_()
    return torch.autograd.grad(function(h), h)[0]


def test_gradients_have_the_same_bits_inside_a_trace():
    for name, function in {**OTHER_DERIVATIVES, **SAME_DERIVATIVES}.items():
        with Trace() as trace:
            traced = gradient(function)
        assert are_equal([traced], [gradient(function)]), name
        way = f"torch computes the derivative of {name} in another way while it is recorded"
        assert trace.fallback_reason == (way if name in OTHER_DERIVATIVES else None)


def test_gradients_are_recorded_unless_they_would_differ():
    with Trace() as trace:
        gradient(SAME_DERIVATIVES["without derivative"])
    assert "aten::div.Tensor" in [call.operator.name() for call in trace.calls[-4:]]


def test_a_trace_is_freed_without_a_garbage_collection():
    """Otherwise its tensors stay in memory: a batch is a view of the rows of a whole epoch."""
    gc.collect()
    gc.disable()
    try:
        with Trace() as trace:
            rows = torch.ones(3) + 1
        freed = weakref.ref(trace)
        assert trace.calls
        del trace
        assert freed() is None
    finally:
        gc.enable()
    assert rows.tolist() == [2, 2, 2]
