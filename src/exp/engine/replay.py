"""The step captured once for each batch size, and replayed once it has reproduced the eager step's bits."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from enum import Enum, auto
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from exp.data.batches import Batch
from exp.engine.codegen import CompiledStep, CompiledSteps, compile_trace
from exp.engine.cuda_graph import capture_cuda_graph
from exp.engine.optimizers import is_torchs_own, needs_closure, step_of
from exp.engine.side_effects import first_difference, observable_state
from exp.engine.step import EagerStep, Gradients, StepOutputs
from exp.engine.tensor_state import TensorState, all_equal
from exp.engine.trace import Trace
from exp.engine.updates import update_of

# How many replayed steps of each batch size must reproduce the eager step, on copies, before replay is trusted.
_VERIFICATIONS = 2


_SEVERAL = "{} computes gradients several times a step"


class Stage(Enum):
    """How a step on batches of one size is made. Each size goes from CAPTURE to VERIFY to REPLAY, or back to EAGER."""

    EAGER = auto()  # the first step, which creates the optimizer's state, and every step after a fallback
    CAPTURE = auto()  # an eager step, traced and compiled
    VERIFY = auto()  # an eager step, then the compiled one from the same state; the results must be equal to the bit
    REPLAY = auto()  # the compiled step


class ReplayStep:
    """Makes the steps of `eager`, to the bit, by replaying a captured one. To be called with gradients off.

    Where the step cannot be captured, or a replayed step differs from the eager step, every step is made eagerly and
    `fallback_reason` says why.
    """

    def __init__(self, eager: EagerStep, compiled: CompiledSteps) -> None:
        self._eager = eager
        self._compiled = compiled  # of this very model and loss, perhaps by an earlier run; each is verified again
        self._verified: dict[int, int] = {}  # batch size -> how many replayed steps reproduced the eager one
        self._update: Callable[[list[Any]], None] = self._step_of_the_optimizer
        self._has_bare_update = True  # until a trace, or the optimizer, says otherwise
        self._momentum = self._has_momentum()
        self._steps = 0
        self.fallback_reason: str | None = (
            _SEVERAL.format(type(eager.optimizer).__name__) if needs_closure(eager.optimizer) else None
        )

    def stage(self, batch_size: int) -> Stage:
        """How the next step is made if its batch has `batch_size` rows."""
        if self.fallback_reason is not None or self._steps == 0:
            return Stage.EAGER
        if batch_size not in self._compiled.by_batch_size:
            return Stage.CAPTURE
        return Stage.REPLAY if self._verified.get(batch_size, 0) >= _VERIFICATIONS else Stage.VERIFY

    def __call__(self, batches: Iterable[Batch]) -> StepOutputs:
        if self._has_momentum() != self._momentum:  # a schedule took it from or to 0, where torch keeps other state
            self._use_the_optimizers_own_step()
        made = StepOutputs()
        batches = iter(batches)
        batch = next(batches, None)
        while batch is not None:
            x, y = batch
            stage = self.stage(len(x))
            if stage is Stage.REPLAY:
                with torch.inference_mode():
                    batch = self._compiled.by_batch_size[len(x)](chain((batch,), batches), self._update, made)
            else:
                made.add(*self._eager_step(stage, x, y), y)
                batch = next(batches, None)
        return made

    def _eager_step(self, stage: Stage, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make an eager step, and on the way do what `stage` asks for; the loss and the outputs before the update."""
        self._steps += 1
        if stage is Stage.EAGER:
            return self._eager.one(x, y)
        try:
            return self._capture(x, y) if stage is Stage.CAPTURE else self._verify(x, y)
        finally:
            for parameter in self._eager.parameters:
                parameter.grad = None  # a replayed step needs no room for these

    def _capture(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make an eager step, trace it and compile the trace."""
        traces: list[tuple[Trace, Gradients]] = []
        modules = (self._eager.model, self._eager.criterion)
        before = observable_state(modules)

        def traced() -> Gradients:
            with Trace() as trace:
                gradients = self._eager.gradients(x, y)
            traces.append((trace, gradients))
            return gradients

        made = self._eager.updated(traced)
        (trace, gradients), *more = traces
        changed = first_difference(before, observable_state(modules))
        if trace.fallback_reason is not None:
            self._fall_back(trace.fallback_reason)
        elif more:
            self._fall_back(_SEVERAL.format(type(self._eager.optimizer).__name__))
        elif changed is not None:
            self._fall_back(f"each step changes {changed}, which no recording would")
        else:
            with self._falls_back_on_error():
                self._compiled.by_batch_size[len(x)] = self._compile(trace, x, y, gradients)
                self._compiled.some_without_gradient |= None in gradients[2]
        return made

    def _compile(self, trace: Trace, x: Tensor, y: Tensor, gradients: Gradients) -> CompiledStep:
        known = {id(tensor) for tensor in self._changed_tensors()}
        known |= {id(tensor) for call in trace.calls for tensor in call.outputs}
        written = [tensor for call in trace.calls for tensor in call.written if id(tensor) not in known]
        if any(tensor is x or tensor is y for tensor in written):
            raise NotImplementedError("it writes into its batch")
        self._compiled.written += written
        compiled = compile_trace(trace.calls, x, y, [*self._eager.parameters, *self._buffers()], gradients)
        if not x.is_cuda:
            return compiled
        before = self._state(x)
        try:
            return capture_cuda_graph(compiled, x, y)
        finally:
            before.restore()

    def _verify(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make an eager step, and the replayed one from where that began; both must end in the same state."""
        self._choose_update()
        before = self._state(x)
        computed: list[Gradients] = []

        def kept() -> Gradients:
            computed.append(self._eager.gradients(x, y))
            return computed[-1]

        made = self._eager.updated(kept)
        if len(computed) > 1:
            self._fall_back(_SEVERAL.format(type(self._eager.optimizer).__name__))
            return made
        after = self._state(x)
        before.restore()
        with self._falls_back_on_error():
            if self._replay_gives(x, y, [*made, *computed[0][2]], after):
                self._verified[len(x)] = self._verified.get(len(x), 0) + 1
            else:
                self._fall_back("the recording did not give the eager step's bits")
        after.restore()
        return made

    def _replay_gives(self, x: Tensor, y: Tensor, results: list[Tensor | None], after: TensorState) -> bool:
        """Replay one step; whether it gives loss, outputs and gradients `results` and leaves the state `after`."""
        made = StepOutputs()
        seen: list[list[Tensor | None]] = []
        with torch.inference_mode():
            self._compiled.by_batch_size[len(x)]([(x, y)], seen.append, made)
        (gradients,) = seen
        same = all_equal(results, [*made.losses, *made.outputs, *gradients])
        if self._update == self._step_of_the_optimizer:  # which is the eager step's own
            return same and after.is_current(ignore=self._updated_tensors())
        self._update(gradients)
        return same and after.is_current()

    def _fall_back(self, reason: str) -> None:
        """Make every step eagerly from here on."""
        self.fallback_reason = reason
        self._compiled.by_batch_size.clear()

    @contextmanager
    def _falls_back_on_error(self) -> Generator[None]:
        """A failure inside is the replayed step's, and no reason to stop: the eager step was made already."""
        try:
            yield
        except Exception as error:
            self._fall_back(f"the step cannot be recorded: {error}")

    def _choose_update(self) -> None:
        if self._compiled.some_without_gradient:
            self._use_the_optimizers_own_step()  # bare updates take it that all parameters made as many steps
        elif self._has_bare_update:
            self._update = update_of(self._eager.optimizer) or self._step_of_the_optimizer

    def _use_the_optimizers_own_step(self) -> None:
        self._update, self._has_bare_update = self._step_of_the_optimizer, False

    def _step_of_the_optimizer(self, gradients: list[Tensor | None]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # the state that it makes must serve eager steps too
            if not is_torchs_own(self._eager.optimizer):  # another may keep them, and these are overwritten
                gradients = [None if gradient is None else gradient.clone() for gradient in gradients]
            self._eager.assign(gradients)
            step_of(self._eager.optimizer)(None)

    def _has_momentum(self) -> list[bool]:
        return [bool(group.get("momentum")) for group in self._eager.optimizer.param_groups]

    def _buffers(self) -> list[Tensor]:
        return [*self._eager.model.buffers(), *self._eager.criterion.buffers()]

    def _updated_tensors(self) -> list[Tensor]:
        """What the optimizer changes."""
        states = [self._eager.optimizer.state.get(parameter, {}) for parameter in self._eager.parameters]
        kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*(parameter.data for parameter in self._eager.parameters), *kept]

    def _changed_tensors(self) -> list[Tensor]:
        """Every tensor that a step is known to change."""
        return [*self._updated_tensors(), *self._buffers(), *self._compiled.written]

    def _state(self, x: Tensor) -> TensorState:
        return TensorState.save(self._changed_tensors(), x.device)
