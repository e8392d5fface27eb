"""A played step on a GPU, captured in a CUDA graph: one launch for all of its kernels.

The optimizer's update stays outside, because a graph keeps the learning rate that it was captured with.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from exp.data.batches import Batch
from exp.engine.codegen import CompiledStep
from exp.engine.step import StepOutputs

_WARM_UPS = 3  # what libraries set up at their first calls must not fall into the graph


def capture_cuda_graph(play: CompiledStep, x: Tensor, y: Tensor) -> CompiledStep:
    """The same steps as `play`, on batches like x and y, which are on a GPU.

    Plays a few times, so that buffers and random streams move on: whoever calls puts them back.
    """
    x, y = x.clone(), y.clone()
    made = StepOutputs()
    seen: list[list[Tensor | None]] = []
    aside = torch.cuda.Stream(x.device)
    aside.wait_stream(torch.cuda.current_stream(x.device))
    with torch.inference_mode():
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                play([(x, y)], lambda _gradients: None, StepOutputs())
        torch.cuda.current_stream(x.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            play([(x, y)], seen.append, made)
    (loss,), (output,), (gradients,) = made.losses, made.outputs, seen

    def replay(
        batches: Iterable[Batch], update: Callable[[list[Tensor | None]], None], made: StepOutputs
    ) -> Batch | None:
        for batch in batches:
            if batch[0].size(0) != x.size(0):
                return batch
            x.copy_(batch[0])
            y.copy_(batch[1])
            graph.replay()
            update(gradients)
            made.add(loss.clone(), output.clone(), batch[1])
        return None

    return replay
