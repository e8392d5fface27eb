"""Compile a recorded step to a library that plays windows of steps."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from exp.compiled.c_library import load_library, sgemm_address
from exp.compiled.recording import Recording, place
from exp.compiled.step_source import make_source
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import Update
from exp.engine.step import Gradients
from exp.engine.trace import OpCall


class CompiledWindow:
    """Plays windows of steps with batches of one size.

    Attributes:
        count: How many numbers each update takes.
    """

    def __init__(self, recording: Recording, gradients: Gradients, updates: Sequence[Update]) -> None:
        self.count = sum(update.count for update in updates)
        threads = f"threads {torch.get_num_threads()}"  # which decide who multiplies matrices
        key = "\n".join([threads, recording.text, _describe_results(recording, gradients), *map(str, updates)])
        self._library = load_library(key, lambda: make_source(recording, gradients, updates))
        self._tensors = [tensor.detach() for tensor in recording.tensors[2:]]
        self._draws = recording.draws
        self._x, self._y = (torch.empty_like(tensor) for tensor in recording.tensors[:2])
        self._output = gradients[1].shape
        self._floats = torch.tensor(recording.floats or [0.0], dtype=torch.float32)
        self._work = torch.empty(ctypes.c_int64.in_dll(self._library, "work_bytes").value + 64, dtype=torch.uint8)
        self._play = self._library.play
        self._play.restype = None
        self._play.argtypes = [ctypes.c_int64, *(ctypes.c_void_p,) * 5]

    def play(self, states: Sequence[Tensor], xs: Tensor, ys: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Make one step for each batch; parameters, buffers and states are changed in place.

        Args:
            states: The tensors that the optimizer keeps, in the order of the parameters.
            xs, ys: Batches [n, B, ...].
            numbers: The numbers of each update [n, count], float32.

        Returns:
            Losses [n] and outputs [n, B, ...], each computed before the step's update.
        """
        steps = len(xs)
        for batches, of_one in ((xs, self._x), (ys, self._y)):
            if batches.shape[1:] != of_one.shape or batches.dtype != of_one.dtype or not batches.is_contiguous():
                raise ValueError(f"batches must be contiguous {of_one.dtype} [n, {', '.join(map(str, of_one.shape))}]")
        losses, outputs = torch.empty(steps), torch.empty(steps, *self._output)
        drawn = [torch.empty(steps, *shape) for _, shape in self._draws]
        for step in range(steps if drawn else 0):
            for (draw, _), into in zip(self._draws, drawn, strict=True):
                draw(into[step])
        tensors = [xs, ys, *self._tensors, *drawn, *states, losses, outputs]
        pointers = (ctypes.c_void_p * len(tensors))(*[tensor.data_ptr() for tensor in tensors])
        work = self._work.data_ptr()
        self._play(steps, pointers, self._floats.data_ptr(), numbers.data_ptr(), work + -work % 64, sgemm_address())
        return losses, outputs


def compile_step(
    calls: Sequence[OpCall],
    x: Tensor,
    y: Tensor,
    fixed: Sequence[Tensor],
    gradients: Gradients,
    updates: Sequence[Update],
) -> CompiledWindow:
    """Compile a recorded step with its update, or load it from the cache.

    Args:
        calls: The operator calls of one step.
        x, y: The batch that the step was recorded with.
        fixed: Parameters in the order of the gradients, then buffers. They must keep their storage.
        gradients: Loss, outputs and gradients that the calls computed.
        updates: The update of each parameter group, whose parameters follow one another.

    Raises:
        Uncompilable: The step cannot be compiled.
    """
    if any(gradient is None for gradient in gradients[2]):
        raise Uncompilable("a parameter has no gradient")
    if gradients[1].dtype != torch.float32 or gradients[0].dtype != torch.float32:
        raise Uncompilable(f"its outputs are {str(gradients[1].dtype).removeprefix('torch.')}")
    return CompiledWindow(Recording.read(calls, x, y, fixed), gradients, updates)


def _describe_results(recording: Recording, gradients: Gradients) -> str:
    """Return which results of the calls leave the step."""
    loss, output, of_parameters = gradients
    return " ".join(recording.names[place(tensor)] for tensor in (loss, output, *of_parameters) if tensor is not None)
