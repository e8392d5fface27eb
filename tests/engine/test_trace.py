"""Trace: the tensors that it keeps alive, and the bits of gradients inside it."""

import gc
import pickle
import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

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


WEIGHTS, IGNORED = torch.tensor([1.1, 2.3, 0.7, 1.9, 0.3, 1.3]), torch.tensor([0, 1, -100, 3, -100, 5, 2])


def of_double(h: Tensor) -> Tensor:
    """A target of another type: torch subtracts it in float32, or in float64 while calls are recorded."""
    return F.binary_cross_entropy_with_logits(h, h.detach().double().sigmoid())


def smoothed(h: Tensor, target: Tensor, **options: int) -> Tensor:
    return F.cross_entropy(h, target, WEIGHTS, label_smoothing=0.1, **options)


def forward_mode(h: Tensor) -> Tensor:
    with forward_ad.dual_level():
        result = F.layer_norm(forward_ad.make_dual(h, h.detach().cos()), (6,))
        tangent: Tensor = forward_ad.unpack_dual(result).tangent
        return tangent.square().sum()


def matrix(h: Tensor) -> Tensor:
    return (h.T @ h).detach().sin()


# Functions with other results, or without a check of the plain ones, while calls are recorded.
OTHER_WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "svdvals": lambda h: h.sum() * torch.linalg.svdvals(matrix(h))[0],
    "svdvals of infinity": lambda h: h.sum() * torch.linalg.svdvals(matrix(h) / 0)[0],
    "eigvalsh": lambda h: h.sum() * torch.linalg.eigvalsh(matrix(h))[0],
    "eigvals": lambda h: h.sum() * torch.linalg.eigvals(matrix(h)).real.prod(),
    "matrix_norm": lambda h: h.sum() / torch.linalg.matrix_norm(matrix(h), 2),
    "norm": lambda h: h.sum() / torch.linalg.norm(matrix(h), 2) + h.sum() / torch.norm(matrix(h), "nuc"),
    "cond": lambda h: h.sum() / torch.linalg.cond(matrix(h)),
    "cross_entropy": lambda h: smoothed(h, IGNORED) + smoothed(h, IGNORED.clamp(min=1), ignore_index=2),
    "binary_cross_entropy_with_logits": of_double,
    "forward-mode derivatives": forward_mode,
    "linalg_eig": lambda h: torch.linalg.eig(h.T @ h + torch.eye(6).roll(1, 0)).eigenvectors.abs().sum(),
}
SAME_WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "with gradients": lambda h: torch.linalg.svdvals(h).sum() + torch.linalg.matrix_norm(h[:6] + torch.eye(6), 2),
    "all of svd": lambda h: h.sum() * torch.linalg.svd(matrix(h)).S[0],
    "other norms": lambda h: h.sum() / torch.linalg.matrix_norm(matrix(h)) + h.norm() + torch.linalg.vector_norm(h, 3),
    "torch.func.jvp": lambda h: torch.func.jvp(lambda x: F.layer_norm(x, (6,)), (h,), (h.detach().cos(),))[1].sum(),
    "no row is ignored": lambda h: smoothed(h, IGNORED.clamp(min=0)) + F.cross_entropy(h, IGNORED, WEIGHTS),
    "targets of one type": lambda h: F.binary_cross_entropy_with_logits(h, h.detach().sigmoid()),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # forward_ad uses it
def test_functions_that_torch_computes_in_another_way_while_they_are_recorded():
    h = (torch.arange(-20.0, 22) / 13 - 0.1).reshape(7, 6).cos()
    for name, function in {**OTHER_WAYS, **SAME_WAYS}.items():
        results: list[Tensor] = []
        for trace in (Trace(), None):
            leaf = h.clone().requires_grad_()
            with trace or nullcontext():
                result = function(leaf)
                results += [result.detach(), *torch.autograd.grad(result, leaf)]
            if trace is not None:
                way = name in OTHER_WAYS
                assert (trace.fallback_reason is not None) == way, name
                told = str(trace.fallback_reason).removeprefix("torch computes ").removeprefix("the derivative of ")
                assert not way or told.startswith(name.removesuffix(" of infinity"))
        assert are_equal(results[:2], results[2:]), name


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


READING: dict[str, Callable[[Tensor], object]] = {
    "tolist": lambda h: h.tolist(),
    "numpy": lambda h: h.numpy(),
    "__dlpack__": lambda h: np.from_dlpack(h),
    "__repr__": lambda h: str(h),
    "apply_": lambda h: h.clone().apply_(lambda value: min(value, 1.0)),
    "untyped_storage": pickle.dumps,
    "tensor_split": lambda h: torch.tensor_split(h, torch.tensor([2])) + h.tensor_split(torch.tensor([1])),
}


def test_what_reads_values_without_an_operator_is_seen():
    for name, read in READING.items():
        with Trace() as trace:
            read(torch.ones(3))
        assert f"reads the values of a tensor (by {name})" in str(trace.fallback_reason), name
    with Trace() as trace:
        torch.tensor_split(torch.ones(3), 2)
    assert trace.fallback_reason is None


def test_a_module_of_torchscript_is_recorded():
    """Its operators are called by C++, not by functions of torch's."""
    with warnings.catch_warnings(action="ignore"):  # it is deprecated
        model = torch.jit.script(torch.nn.Linear(2, 1))
    for _ in range(3):
        with Trace() as trace:
            model(torch.ones(3, 2)).sum().backward()
        assert trace.fallback_reason is None
        assert "addmm" in [call.name for call in trace.calls]


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
