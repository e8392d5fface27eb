"""Record a step and compile it: a library for each kind of update."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD

from exp.compiled.c_library import load_library
from exp.compiled.compiled_loop import CompiledLoop
from exp.compiled.core_operators import lower
from exp.compiled.step_source import make_source
from exp.compiled.uncompilable import Uncompilable
from exp.compiled.update_loops import describe_update
from exp.data.seeding import get_global_streams, set_global_streams
from exp.engine.optimizers import without_dynamo
from exp.engine.side_effects import first_difference, observable_state
from exp.engine.step import EagerStep, Gradients
from exp.engine.tensor_state import get_random_state, set_random_state
from exp.engine.trace import OpCall, Trace, storage_id
from exp.engine.updates import BareUpdate, Update


class CompiledLoops:
    """The loops of a recorded step, one for each kind of update.

    Args:
        calls: The operator calls of one step.
        x, y: The batch that the step was recorded with.
        fixed: Parameters in the order of the gradients, then buffers, that the step was recorded with.
        gradients: Loss, outputs and gradients that the calls computed.
        originals: The tensors to use in place of those that the calls read, by their id. They must keep their storage.

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
        originals: Mapping[int, Tensor] | None = None,
    ) -> None:
        self._step, self._recording = lower(calls, x, y, fixed, gradients)
        read = [(originals or {}).get(id(tensor), tensor).detach() for tensor in self._recording.tensors]
        if len(set(map(storage_id, read))) < len(read):
            raise Uncompilable("two of the tensors that it reads share memory")
        if any(not tensor.is_contiguous() for tensor in read):
            raise Uncompilable("a tensor is not contiguous")
        self._recording.tensors = [*(tensor.to("meta") for tensor in read[:2]), *read[2:]]
        self._loops: dict[tuple[object, ...], CompiledLoop] = {}

    def find(self, update: Update, count: int) -> CompiledLoop:
        """Return the loop with updates like `update`, compiled or from the cache.

        Raises:
            Uncompilable: The update cannot be compiled, or there is no compiler.
        """
        del count
        if not isinstance(update, BareUpdate):
            raise Uncompilable("only SGD, Adam, AdamW, RMSprop and Adagrad are compiled, without amsgrad and the like")
        updates = describe_update(update)
        key = (torch.get_num_threads(), *updates)  # who multiplies matrices depends on the number of threads
        if key not in self._loops:
            library, seconds = load_library(make_source(self._step, self._recording, updates))
            self._loops[key] = CompiledLoop(library, self._recording, seconds)
        return self._loops[key]


def record_step(eager: EagerStep, x: Tensor, y: Tensor) -> CompiledLoops:
    """Return the compiled loops of the step on a batch like this one; the step itself is not made.

    The step is recorded with copies of model and loss, so theirs do not change; nor do random streams.

    Raises:
        Uncompilable: The step cannot be recorded or compiled.
    """
    try:
        copies: dict[int, Any] = {}  # by the id of the original; it has a list of the originals too
        model, criterion, parameters = copy.deepcopy((eager.model, eager.criterion, eager.parameters), copies)
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
    originals = {id(copies[id(one)]): one for one in copies[id(copies)] if isinstance(one, Tensor)}
    return CompiledLoops(trace.calls, x, y, _fixed_tensors(twin), gradients, originals)


def _fixed_tensors(eager: EagerStep) -> list[Tensor]:
    """Return the parameters in the order of their gradients, then buffers, then parameters that are not trained."""
    trained = {id(parameter) for parameter in eager.parameters}
    modules = (eager.model, eager.criterion)
    buffers = [buffer for module in modules for buffer in module.buffers()]
    others = [parameter for module in modules for parameter in module.parameters() if id(parameter) not in trained]
    return list(dict.fromkeys([*eager.parameters, *buffers, *others]))
