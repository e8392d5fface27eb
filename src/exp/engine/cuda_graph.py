"""Capture a compiled step in a CUDA graph, which launches all of its kernels at once.

The optimizer's update is not part of the graph, because a graph keeps the learning rate it was captured with.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from exp.data.batches import Batch
from exp.engine.codegen import CompiledStep
from exp.engine.step import StepOutputs

_WARM_UPS = 3  # steps before the capture: what libraries set up at their first calls must not be part of the graph


def capture_cuda_graph(compiled: CompiledStep, x: Tensor, y: Tensor) -> CompiledStep:
    """Return a CUDA graph of `compiled` for batches with the shapes of x and y, which are on a GPU.

    Capturing runs the step several times. It changes buffers and random streams, which the caller must restore.
    """
    x, y = x.clone(), y.clone()
    captured = StepOutputs()
    captured_gradients: list[list[Tensor | None]] = []
    stream = torch.cuda.Stream(x.device)
    stream.wait_stream(torch.cuda.current_stream(x.device))
    with torch.inference_mode():
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                compiled([(x, y)], lambda _gradients: None, StepOutputs())
        torch.cuda.current_stream(x.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            compiled([(x, y)], captured_gradients.append, captured)
    (loss,), (output,), (gradients,) = captured.losses, captured.outputs, captured_gradients

    return _CapturedStep(compiled, graph, x, y, loss, output, gradients)


@dataclass(frozen=True)
class _CapturedStep:
    """A CUDA graph and the tensors that it reads and writes.

    It also reads and writes memory that `compiled` allocated before the capture. Without a reference to `compiled`,
    other tensors would get that memory, and the graph would silently compute with their values.
    """

    compiled: CompiledStep
    graph: torch.cuda.CUDAGraph
    x: Tensor
    y: Tensor
    loss: Tensor
    output: Tensor
    gradients: list[Tensor | None]

    def __call__(
        self, batches: Iterable[Batch], update: Callable[[list[Tensor | None]], None], results: StepOutputs
    ) -> Batch | None:
        for batch in batches:
            if batch[0].size(0) != self.x.size(0):
                return batch
            self.x.copy_(batch[0])
            self.y.copy_(batch[1])
            self.graph.replay()
            update(self.gradients)
            results.add(self.loss.clone(), self.output.clone(), batch[1])
        return None
