"""A program's step captured in a CUDA graph, which launches all of its kernels at once.

The optimizer's update is not part of the graph, because a graph keeps the learning rate it was captured with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from exp.data.batches import Stack
from exp.engine.python_loop import Loop, LoopOutputs
from exp.engine.updates import NoUpdate, Update

_WARM_UPS = 3  # steps before the capture: what libraries set up at their first calls must not be part of the graph


def capture_cuda_graph(loop: Loop, x: Tensor, y: Tensor) -> "GraphLoop":
    """Return a loop over a CUDA graph of the step of `loop`, for batches with the shapes of x and y on a GPU.

    Capturing runs the step several times. It changes buffers and random streams, which the caller must restore.
    """
    stack = Stack(x.clone().unsqueeze(0), y.clone().unsqueeze(0))
    stream = torch.cuda.Stream(x.device)
    stream.wait_stream(torch.cuda.current_stream(x.device))
    with torch.inference_mode():
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                loop.run(stack, NoUpdate())
        torch.cuda.current_stream(x.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = loop.run(stack, NoUpdate())
    return GraphLoop(loop, graph, stack, outputs)


@dataclass(frozen=True)
class GraphLoop:
    """A CUDA graph, and the tensors that it reads and writes.

    It also reads and writes memory that `loop` allocated before the capture. Without a reference to `loop`, other
    tensors would get that memory, and the graph would silently compute with their values.
    """

    loop: Loop
    graph: torch.cuda.CUDAGraph
    read: Stack
    written: LoopOutputs

    def run(self, stack: Stack, update: Update) -> LoopOutputs:
        loss, output, gradients = self.written
        losses = loss.new_empty(len(stack))
        outputs = output.new_empty(len(stack), *output.shape)
        make_update = update.prepare(len(stack))
        for step, (x, y) in enumerate(stack):
            self.read.x.copy_(x)
            self.read.y.copy_(y)
            self.graph.replay()
            make_update(gradients)
            losses[step].copy_(loss[0])
            outputs[step].copy_(output)
        update.finish(len(stack))
        return losses, outputs.flatten(0, 1), gradients
