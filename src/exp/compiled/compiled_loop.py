"""A recorded step as compiled loops: a library for each kind of update."""

import copy
import ctypes
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import SGD

from exp.compiled.c_library import load_library, sgemm_address
from exp.compiled.core_operators import lower
from exp.compiled.recording import Recording
from exp.compiled.step_source import make_source
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import describe_update, number_table, state_tensors
from exp.data.batches import Stack
from exp.data.seeding import get_global_streams, set_global_streams
from exp.engine.optimizers import without_dynamo
from exp.engine.python_loop import LoopOutputs
from exp.engine.side_effects import first_difference, observable_state
from exp.engine.step import EagerStep, Gradients
from exp.engine.tensor_state import get_random_state, set_random_state
from exp.engine.trace import OpCall, Trace
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


class CompiledLoops:
    """The loops of a recorded step, one for each kind of update.

    Args:
        calls: The operator calls of one step.
        x, y: The batch that the step was recorded with.
        fixed: Parameters in the order of the gradients, then buffers, that the step was recorded with.
        gradients: Loss, outputs and gradients that the calls computed.
        real: The tensors to use in place of `fixed`. They must keep their storage.

    Raises:
        Uncompilable: The step cannot be compiled.
    """

    def __init__(
        self,
        calls: Sequence[OpCall],
        x: Tensor,
        y: Tensor,
        fixed: Sequence[Tensor],
        gradients: Gradients,
        real: Sequence[Tensor] | None = None,
    ) -> None:
        self._recording = Recording.read(calls, x, y, fixed, gradients)
        self._step = lower(self._recording, gradients)
        self._recording.forget_trace(fixed if real is None else real)
        self._loops: dict[str, CompiledLoop] = {}

    def find(self, update: Update, count: int) -> CompiledLoop:
        """Return the loop with updates like `update`, compiled or from the cache.

        Raises:
            Uncompilable: The update cannot be compiled, or there is no compiler.
        """
        del count
        if not isinstance(update, BareUpdate):
            raise Uncompilable("only SGD, Adam, AdamW, RMSprop and Adagrad are compiled, without amsgrad and the like")
        updates = describe_update(update)
        # Who multiplies matrices depends on the number of threads.
        key = "\n".join([f"threads {torch.get_num_threads()}", *map(str, updates), self._recording.text])
        if key not in self._loops:
            began, sources = time.perf_counter(), list[str]()

            def write_source() -> str:
                sources.append(make_source(self._step, self._recording, updates))
                return sources[-1]

            library = load_library(key, write_source)
            seconds = time.perf_counter() - began if sources else None
            self._loops[key] = CompiledLoop(library, self._recording, seconds)
        return self._loops[key]


def record_step(eager: EagerStep, x: Tensor, y: Tensor) -> CompiledLoops:
    """Return the compiled loops of the step on a batch like this one; the step itself is not made.

    The step is recorded with copies of model and loss, so theirs do not change; nor do random streams.

    Raises:
        Uncompilable: The step cannot be recorded or compiled.
    """
    try:
        model, criterion, parameters = copy.deepcopy((eager.model, eager.criterion, eager.parameters))
    except Exception as error:
        raise Uncompilable(f"the model cannot be copied: {error}") from error
    with without_dynamo():
        twin = EagerStep(model, criterion, SGD(parameters), eager.clip_grad_norm, eager.precision, eager.pieces)
    random, streams = get_random_state(x.device), get_global_streams()
    before = observable_state((model, criterion))
    try:
        with Trace() as trace:
            gradients = twin.compute_gradients(x, y)
        changed = first_difference(before, observable_state((model, criterion)))
    finally:
        set_random_state(random, x.device)
        set_global_streams(streams)
    reason = f"each step changes {changed}, which a compiled step would not" if changed else trace.fallback_reason
    if reason is not None:
        raise Uncompilable(reason)
    fixed, real = ([*one.parameters, *one.model.buffers(), *one.criterion.buffers()] for one in (twin, eager))
    return CompiledLoops(trace.calls, x, y, fixed, gradients, real)
