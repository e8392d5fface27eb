"""A loop over batches that a compiled library makes."""

import ctypes

import torch

from exp.compiled.c_library import sgemm_address
from exp.compiled.recording import Recording
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import number_table, state_tensors
from exp.data.batches import Stack
from exp.engine.python_loop import LoopOutputs
from exp.engine.updates import BareUpdate, Update


class CompiledLoop:
    """Makes the step on each batch of a stack, with the update that it was compiled for.

    Attributes:
        seconds: How long it took to compile; None: the library was in the cache.
    """

    window = 1

    def __init__(self, library: ctypes.CDLL, recording: Recording, seconds: float | None) -> None:
        self.seconds = seconds
        self._recording = recording
        self._floats = torch.tensor(recording.floats or [0.0], dtype=torch.float32)
        self._work = torch.empty(ctypes.c_int64.in_dll(library, "work_bytes").value + 64, dtype=torch.uint8)
        self._play = library.play
        self._play.restype = None
        self._play.argtypes = [*(ctypes.c_int64,) * 3, *(ctypes.c_void_p,) * 5]

    def run(self, stack: Stack, update: Update) -> LoopOutputs:
        """Make the steps: parameters, buffers and the optimizer's tensors change in place.

        Returns:
            Losses [n] and outputs [n * B, ...], each before the step's update; no gradients.

        Raises:
            Uncompilable: The batches are not like the recorded ones.
        """
        assert isinstance(update, BareUpdate)
        steps, recording = len(stack), self._recording
        for batches, of_one in zip((stack.x, stack.y), recording.tensors[:2], strict=True):
            first = batches[0]  # batches may be further apart than their size
            if first.shape != of_one.shape or first.dtype != of_one.dtype or not first.is_contiguous():
                raise Uncompilable("the batches are not like the first one, or not contiguous")
        losses, outputs = torch.empty(steps), torch.empty(steps, *recording.output_shape)
        drawn = [torch.empty(steps, *shape) for _, shape in recording.draws]
        for step in range(steps if drawn else 0):
            for (draw, _), into in zip(recording.draws, drawn, strict=True):
                draw(into[step])
        tensors = [stack.x, stack.y, *recording.tensors[2:], *drawn, *state_tensors(update), losses, outputs]
        pointers = (ctypes.c_void_p * len(tensors))(*[tensor.data_ptr() for tensor in tensors])
        numbers, work = number_table(update, steps), self._work.data_ptr()
        arguments = self._floats.data_ptr(), numbers.data_ptr(), work + -work % 64, sgemm_address()
        self._play(steps, stack.x.stride(0), stack.y.stride(0), pointers, *arguments)
        update.finish(steps)
        return losses, outputs.flatten(0, 1), []
