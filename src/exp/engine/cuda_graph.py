"""Steps of a program captured in CUDA graphs, each of which launches all of its kernels at once.

A graph keeps the hyperparameters that it was captured with. So one graph is of a step without its update, and another
one of several steps with their updates, for as long as the hyperparameters do not change.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from exp.data.stack import Stack
from exp.engine.python_loop import Loop, LoopOutputs
from exp.engine.updates import BareUpdate, NoUpdate, Update

_WARM_UPS = 3  # steps before a capture: what libraries set up at their first calls must not be part of the graph

# Steps of the graph that includes updates. More of them would leave more steps of an epoch to the other graph.
_WINDOW = 16

# How often a window with the same hyperparameters is asked for before it is captured, which takes as long as 20 steps.
_CALLS_BEFORE_WINDOW = 8


class CudaGraphs:
    """The graphs of a step on batches with the shapes of x and y, which are on a GPU.

    Capturing runs the step several times. It changes buffers and random streams, which the caller must restore.
    """

    def __init__(self, loop: Loop, x: Tensor, y: Tensor) -> None:
        self._loop = loop
        self._window: GraphLoop | None = None
        self._numbers: list[list[float]] = []  # of the updates that windows were asked for with
        self._calls = 0  # with these numbers
        stack = Stack.of(x.clone().unsqueeze(0), y.clone().unsqueeze(0))
        stream = torch.cuda.Stream(x.device)
        stream.wait_stream(torch.cuda.current_stream(x.device))
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                loop.run(stack, NoUpdate())
        torch.cuda.current_stream(x.device).wait_stream(stream)
        self.step = _capture(loop, stack, None)

    def find(self, update: Update, count: int) -> "GraphLoop | None":
        """Return the graph of several steps with their updates.

        None if there are fewer than that among the next `count` steps, if the numbers of the update change at each
        step, or have not stayed the same for long enough.
        """
        if count < _WINDOW or not isinstance(update, BareUpdate) or any(group.counters for group in update.groups):
            return None
        numbers = [group.numbers_of_next(1)[0] for group in update.groups]
        if numbers != self._numbers:
            self._numbers, self._calls, self._window = numbers, 0, None
        self._calls += 1
        if self._window is None and self._calls > _CALLS_BEFORE_WINDOW:
            one = self.step.read
            stack = Stack.of(
                one.x.repeat(_WINDOW, *[1] * (one.x.dim() - 1)), one.y.repeat(_WINDOW, *[1] * (one.y.dim() - 1))
            )
            self._window = _capture(self._loop, stack, update)
        return self._window


def _capture(loop: Loop, stack: Stack, update: BareUpdate | None) -> "GraphLoop":
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        outputs = loop.run(stack, NoUpdate() if update is None else update)
    return GraphLoop(loop, graph, stack, outputs, has_update=update is not None)


@dataclass(frozen=True, eq=False)
class GraphLoop:
    """A CUDA graph, and the tensors that it reads and writes.

    It also reads and writes memory that `loop` allocated before the capture. Without a reference to `loop`, other
    tensors would get that memory, and the graph would silently compute with their values.
    """

    loop: Loop
    graph: torch.cuda.CUDAGraph
    read: Stack
    written: LoopOutputs
    has_update: bool

    @property
    def window(self) -> int:
        return len(self.read)

    def run(self, stack: Stack, update: Update) -> LoopOutputs:
        losses, outputs, gradients = self.written
        all_losses: list[Tensor] = []
        all_outputs: list[Tensor] = []
        make_update = update.prepare(len(stack))
        xs, ys = (cast("tuple[Tensor, ...]", tensor.split(self.window)) for tensor in (stack.x, stack.y))
        for x, y in zip(xs, ys, strict=True):
            self.read.x.copy_(x)
            self.read.y.copy_(y)
            self.graph.replay()
            if not self.has_update:
                make_update(gradients)
            all_losses.append(losses.clone())
            all_outputs.append(outputs.clone())
        return torch.cat(all_losses), torch.cat(all_outputs), gradients
