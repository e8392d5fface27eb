"""Compile a recorded step: a library for each kind of update."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from exp.compiled.c_library import load_library
from exp.compiled.compiled_loop import CompiledLoop
from exp.compiled.core_operators import lower
from exp.compiled.step_source import make_source
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import state_tensors
from exp.engine.hooks import has_step_hook
from exp.engine.precision import Precision
from exp.engine.step import EagerStep, Gradients
from exp.engine.step_tensors import StepTensors
from exp.engine.trace import OpCall, Trace, storage_id
from exp.engine.update_functions import PLAIN
from exp.engine.updates import UNSUPPORTED, BareUpdate, UpdateKey
from exp.errors import first_line

# An update divides by the sum of this and the root of a mean square. With a smaller one, squares that became 0 would
# show.
_SMALLEST_EPS = 1e-14


class CompiledLoops:
    """The loops of a recorded step, one for each kind of update. The arguments and errors are those of `lower`.

    Parameters and buffers must keep their storage.
    """

    def __init__(
        self, calls: Sequence[OpCall], x: Tensor, y: Tensor, fixed: Sequence[Tensor], gradients: Gradients
    ) -> None:
        self._step, self._recording = lower(calls, x, y, fixed, gradients)
        read = [tensor.detach() for tensor in self._recording.tensors]
        if len(set(map(storage_id, read))) < len(read):
            raise Uncompilable("two of the tensors that it reads share memory")
        self._recording.tensors = [*(tensor.to("meta") for tensor in read[:2]), *read[2:]]
        self._loops: dict[tuple[int, UpdateKey], CompiledLoop] = {}

    def find(self, update: BareUpdate) -> CompiledLoop:
        """Return the loop with updates like `update`, compiled or from the cache.

        Raises:
            Uncompilable: The update cannot be compiled, or there is no compiler.
        """
        own = [*(parameter for group in update.groups for parameter in group.parameters), *state_tensors(update)]
        if any(not tensor.is_contiguous() or tensor.dtype != torch.float32 for tensor in own):
            raise Uncompilable("a tensor of the optimizer is not contiguous, or not float32")
        key = torch.get_num_threads(), update.key  # who multiplies matrices depends on the number of threads
        if key not in self._loops:
            try:
                source = make_source(self._step, self._recording, update.groups)
            except Exception as error:
                raise Uncompilable(_reason(error)) from error
            library, name, seconds = load_library(source)
            self._loops[key] = CompiledLoop(library, name, self._recording, seconds)
        return self._loops[key]


def why_never_compiled(optimizer: Optimizer, precision: Precision, is_in_pieces: bool) -> str | None:
    """Return why no step is compiled, whatever the model computes; None: that depends on what it computes."""
    if is_in_pieces:
        return "batching.accumulate is not compiled"
    if precision.dtype is not None:
        return "mixed precision is not compiled: precision=fp32 is"
    name = type(optimizer).__name__
    if type(optimizer) not in PLAIN:
        return f"the optimizer {name} is not compiled; SGD, Adam, AdamW, RMSprop and Adagrad are"
    if has_step_hook(optimizer):
        return f"the optimizer {name} has a step hook, which a compiled step would not call"
    options = UNSUPPORTED if type(optimizer) is SGD else (*UNSUPPORTED, "fused")
    for group in optimizer.param_groups:
        for option in options:
            if group.get(option):
                return f"optimizer.{option}={group[option]} is not compiled"
        if group.get("eps", math.inf) < _SMALLEST_EPS:
            reason = f"numbers below 1.2e-38 become 0, so it must be >= {_SMALLEST_EPS:g}"
            return f"optimizer.eps={group['eps']:g} is not compiled: {reason}"
    return None


def compile_trace(
    trace: Trace, tensors: StepTensors, x: Tensor, y: Tensor, gradients: Gradients
) -> CompiledLoops | str:
    """Return the compiled loops of a traced step, or why it has none, whatever makes the update."""
    try:
        for parameter, gradient in zip(tensors.eager.parameters, gradients[2], strict=True):
            if gradient is None:
                raise Uncompilable(f"{_name_of(tensors.eager, parameter)} has no gradient")
        return CompiledLoops(trace.calls, x, y, tensors.fixed, gradients)
    except Exception as error:
        return _reason(error)  # not the error, whose traceback keeps the tensors of the trace


def _reason(error: Exception) -> str:
    """Return why a step is not compiled, also after what the rules do not foresee, such as sparse tensors."""
    if isinstance(error, Uncompilable):
        return str(error)
    return f"compiling failed: {type(error).__name__}: {first_line(error)}"


def _name_of(eager: EagerStep, parameter: Tensor) -> str:
    names = {id(one): name for module in reversed(eager.modules) for name, one in module.named_parameters()}
    return f"parameter {names.get(id(parameter), '')}".rstrip()
