"""Trace: the tensors that it keeps alive."""

import gc
import weakref

import torch

from exp.engine.trace import Trace


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
