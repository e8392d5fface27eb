"""A loop over batches that a compiled library makes."""

import ctypes

import torch
from torch import Tensor

from exp.compiled.c_library import sgemm_address
from exp.compiled.recording import Recording
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import NumberTable, state_tensors
from exp.data.stack import Stack
from exp.engine.updates import BareUpdate


class CompiledLoop:
    """Makes the step on each batch of a stack, with the update that it was compiled for.

    Attributes:
        library_name: That of its library: a hash of all that it depends on.
        seconds: How long it took to compile; None: the library was in the cache.
        found_nan: Whether a loss of the last steps is NaN.
    """

    def __init__(self, library: ctypes.CDLL, name: str, recording: Recording, seconds: float | None) -> None:
        self.library_name, self.seconds, self.found_nan = name, seconds, False
        self._recording = recording
        self._floats = torch.tensor(recording.floats or [0.0], dtype=torch.float32)
        self._work = torch.empty(ctypes.c_int64.in_dll(library, "work_bytes").value + 64, dtype=torch.uint8)
        work = self._work.data_ptr()
        self._constants = self._floats.data_ptr(), work + -work % 64, sgemm_address()
        self._play = library.play
        self._play.restype = ctypes.c_int64
        self._play.argtypes = [ctypes.c_int64, ctypes.c_void_p, *(ctypes.c_int64,) * 2, *(ctypes.c_void_p,) * 5]
        self._update: BareUpdate | None = None  # whose tensors `_pointers` has
        self._pointers = (ctypes.c_void_p * 0)()  # to the tensors that the library reads and writes
        self._numbers = NumberTable()

    def run(self, stack: Stack, update: BareUpdate) -> tuple[Tensor, Tensor]:
        """Make the steps: parameters, buffers and the optimizer's tensors change in place.

        Returns:
            Losses [n] and outputs [n * B, ...], each before the step's update.

        Raises:
            Uncompilable: The batches are not like the recorded ones.
        """
        steps, recording = len(stack), self._recording
        order = stack.order
        if order is None:
            x, y, is_like = stack.x, stack.y, _are_batches_like
            first, strides = None, (x.stride(0), y.stride(0))
        else:
            x, y, is_like = stack.rows.x, stack.rows.y, _are_rows_like
            first, strides = order.data_ptr(), (0, 0)
        if stack.batch_size != recording.batch_size or not all(map(is_like, (x, y), recording.tensors)):
            raise Uncompilable("the batches are not like the recorded one, or not contiguous")
        if update is not self._update:
            tensors = [*recording.tensors, *(self._floats for _ in recording.draws), *state_tensors(update)]
            self._pointers = (ctypes.c_void_p * (len(tensors) + 2))(*[tensor.data_ptr() for tensor in tensors])
            self._update = update
        of_step, *shape = recording.output_shape
        losses, outputs = torch.empty(steps), torch.empty(steps * of_step, *shape)
        pointers = self._pointers
        pointers[0], pointers[1] = x.data_ptr(), y.data_ptr()
        pointers[-2], pointers[-1] = losses.data_ptr(), outputs.data_ptr()
        drawn = [torch.empty(steps, *shape) for _, shape in recording.draws]
        for step in range(steps if drawn else 0):
            for (draw, _), into in zip(recording.draws, drawn, strict=True):
                draw(into[step])
        for place, tensor in enumerate(drawn, len(recording.tensors)):
            pointers[place] = tensor.data_ptr()
        floats, work, sgemm = self._constants
        numbers = self._numbers.of_next(update, steps).data_ptr()
        self.found_nan = bool(self._play(steps, first, *strides, pointers, floats, numbers, work, sgemm))
        return losses, outputs


def _are_rows_like(rows: Tensor, one: Tensor) -> bool:
    """Return whether batches of the rows [N, ...], which are contiguous, are like `one` [B, ...]."""
    return rows.shape[1:] == one.shape[1:] and rows.dtype == one.dtype


def _are_batches_like(batches: Tensor, one: Tensor) -> bool:
    """Return whether each of the batches [n, ...] is contiguous, and like `one` [...]."""
    is_contiguous = batches.is_contiguous() or batches[0].is_contiguous()  # they may be further apart than their size
    return is_contiguous and batches.shape[1:] == one.shape and batches.dtype == one.dtype
