"""Capture the step once per batch size, and replay it once it has reproduced the bits of the eager step."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from exp.data.batches import Batch
from exp.engine.codegen import CompiledStep, CompiledSteps, compile_trace
from exp.engine.cuda_graph import capture_cuda_graph
from exp.engine.optimizers import is_plain_torch, needs_closure, step_function
from exp.engine.side_effects import first_difference, observable_state
from exp.engine.step import EagerStep, Gradients, StepOutputs, eager_notes
from exp.engine.tensor_state import TensorState, are_equal
from exp.engine.trace import Trace
from exp.engine.updates import make_update

# How many replayed steps of each batch size must reproduce the eager step, on copies, before replay is trusted.
_VERIFICATIONS = 2


_SEVERAL = "{} computes gradients several times a step"


class Stage(Enum):
    """How a step is made on batches of one size: EAGER, then CAPTURE, VERIFY and REPLAY, or EAGER for good."""

    EAGER = auto()  # the first step, which creates the optimizer's state, and every step after a fallback
    CAPTURE = auto()  # an eager step, traced and compiled
    VERIFY = auto()  # an eager step, then the compiled one from the same state; the results must be equal to the bit
    REPLAY = auto()  # the compiled step


class ReplayStep:
    """Makes the steps of `eager`, to the bit, by replaying a captured step. Call it with gradients disabled.

    If the step cannot be captured, or a replayed step differs from the eager one, all further steps are eager and
    `fallback_reason` says why.

    Args:
        eager: The step to reproduce.
        compiled: Compiled steps of the same model and loss, for example of an earlier run. They are verified again.
    """

    def __init__(self, eager: EagerStep, compiled: CompiledSteps) -> None:
        self._eager = eager
        self._compiled = compiled
        self._verified: dict[int, int] = {}  # batch size -> how many replayed steps reproduced the eager one
        self._update: Callable[[list[Any]], None] = self._optimizer_step
        self._has_bare_update = True  # see _choose_update
        self._momentum = self._has_momentum()
        self._steps = 0
        self.fallback_reason: str | None = (
            _SEVERAL.format(type(eager.optimizer).__name__) if needs_closure(eager.optimizer) else None
        )

    @property
    def notes(self) -> Sequence[str]:
        return eager_notes(self.fallback_reason)

    def stage(self, batch_size: int) -> Stage:
        """Return how the next step is made if its batch has `batch_size` rows."""
        if self.fallback_reason is not None or self._steps == 0:
            return Stage.EAGER
        if batch_size not in self._compiled.by_batch_size:
            return Stage.CAPTURE
        return Stage.REPLAY if self._verified.get(batch_size, 0) >= _VERIFICATIONS else Stage.VERIFY

    def __call__(self, batches: Iterable[Batch]) -> StepOutputs:
        if self._has_momentum() != self._momentum:  # a scheduler changed it from or to 0, where torch keeps other state
            self._use_optimizer_step()
        outputs = StepOutputs()
        batches = iter(batches)
        batch = next(batches, None)
        while batch is not None:
            x, y = batch
            stage = self.stage(len(x))
            if stage is Stage.REPLAY:
                with torch.inference_mode():
                    batch = self._compiled.by_batch_size[len(x)](chain((batch,), batches), self._update, outputs)
            else:
                outputs.add(*self._eager_step(stage, x, y), y)
                batch = next(batches, None)
        return outputs

    def _eager_step(self, stage: Stage, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make an eager step, and capture or verify it as `stage` says. Return the loss and the outputs before it."""
        self._steps += 1
        if stage is Stage.EAGER:
            return self._eager.update(x, y)
        try:
            return self._capture(x, y) if stage is Stage.CAPTURE else self._verify(x, y)
        finally:
            for parameter in self._eager.parameters:
                parameter.grad = None  # a replayed step does not need this memory

    def _capture(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make an eager step, trace it and compile the trace."""
        traces: list[tuple[Trace, Gradients]] = []
        modules = (self._eager.model, self._eager.criterion)
        before = observable_state(modules)

        def compute() -> Gradients:
            with Trace() as trace:
                gradients = self._eager.compute_gradients(x, y)
            traces.append((trace, gradients))
            return gradients

        loss_and_output = self._eager.update_with(compute)
        (trace, gradients), *more = traces
        changed = first_difference(before, observable_state(modules))
        if trace.fallback_reason is not None:
            self._fall_back(trace.fallback_reason)
        elif more:
            self._fall_back(_SEVERAL.format(type(self._eager.optimizer).__name__))
        elif changed is not None:
            self._fall_back(f"each step changes {changed}, which a replayed step would not")
        else:
            with self._falls_back_on_error():
                self._compiled.by_batch_size[len(x)] = self._compile(trace, x, y, gradients)
                self._compiled.some_without_gradient |= None in gradients[2]
        return loss_and_output

    def _compile(self, trace: Trace, x: Tensor, y: Tensor, gradients: Gradients) -> CompiledStep:
        """Compile the trace of a step on x and y; on a GPU, capture the result in a CUDA graph."""
        known = {id(tensor) for tensor in self._list_changed_tensors()}
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
        """Make an eager step, then a replayed one from the same state. Fall back unless both give the same bits."""
        self._choose_update()
        before = self._state(x)
        computed: list[Gradients] = []

        def compute() -> Gradients:
            computed.append(self._eager.compute_gradients(x, y))
            return computed[-1]

        loss_and_output = self._eager.update_with(compute)
        if len(computed) > 1:
            self._fall_back(_SEVERAL.format(type(self._eager.optimizer).__name__))
            return loss_and_output
        after = self._state(x)
        before.restore()
        with self._falls_back_on_error():
            gradients = self._replay([*loss_and_output, *computed[0][2]], after, x, y)
            if gradients is None:
                self._fall_back("the replayed step differs from the eager step")
            elif self._update_differs(gradients, after):
                self._use_optimizer_step()
            else:
                self._verified[len(x)] = self._verified.get(len(x), 0) + 1
        after.restore()
        return loss_and_output

    def _replay(
        self, results: list[Tensor | None], after: TensorState, x: Tensor, y: Tensor
    ) -> list[Tensor | None] | None:
        """Replay one step without its update.

        Returns:
            Its gradients; None if its loss, outputs and gradients are not `results`, or it ends in another state than
            `after`, apart from what the optimizer changes.
        """
        outputs = StepOutputs()
        replayed: list[list[Tensor | None]] = []
        with torch.inference_mode():
            self._compiled.by_batch_size[len(x)]([(x, y)], replayed.append, outputs)
        (gradients,) = replayed
        same = are_equal(results, [*outputs.losses, *outputs.outputs, *gradients])
        return gradients if same and after.is_current(ignore=self._list_updated_tensors()) else None

    def _update_differs(self, gradients: list[Tensor | None], after: TensorState) -> bool:
        """Make the bare update, if it is in use; return whether it does not end in the state `after`."""
        if self._update == self._optimizer_step:  # the eager step made the same one
            return False
        with torch.inference_mode():
            self._update(gradients)
        return not after.is_current()

    def _fall_back(self, reason: str) -> None:
        """Make all further steps eagerly."""
        self.fallback_reason = reason
        self._compiled.by_batch_size.clear()

    @contextmanager
    def _falls_back_on_error(self) -> Generator[None]:
        """Fall back after an error inside instead of raising it: the eager step was made already."""
        try:
            yield
        except Exception as error:
            self._fall_back(f"the step cannot be captured: {error}")

    def _choose_update(self) -> None:
        """Use the optimizer's bare update where there is one."""
        if self._compiled.some_without_gradient:
            self._use_optimizer_step()  # bare updates assume that all parameters made the same number of steps
        elif self._has_bare_update:
            self._update = make_update(self._eager.optimizer) or self._optimizer_step

    def _use_optimizer_step(self) -> None:
        self._update, self._has_bare_update = self._optimizer_step, False

    def _optimizer_step(self, gradients: list[Tensor | None]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # its state must be usable by eager steps
            if not is_plain_torch(self._eager.optimizer):  # a user's may keep gradients, and these are overwritten
                gradients = [None if gradient is None else gradient.clone() for gradient in gradients]
            self._eager.set_gradients(gradients)
            step_function(self._eager.optimizer)(None)

    def _has_momentum(self) -> list[bool]:
        return [bool(group.get("momentum")) for group in self._eager.optimizer.param_groups]

    def _buffers(self) -> list[Tensor]:
        return [*self._eager.model.buffers(), *self._eager.criterion.buffers()]

    def _list_updated_tensors(self) -> list[Tensor]:
        """Return the tensors that the optimizer changes: parameters and optimizer state."""
        states = [self._eager.optimizer.state.get(parameter, {}) for parameter in self._eager.parameters]
        kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*(parameter.data for parameter in self._eager.parameters), *kept]

    def _list_changed_tensors(self) -> list[Tensor]:
        """Return all tensors that a step is known to change."""
        return [*self._list_updated_tensors(), *self._buffers(), *self._compiled.written]

    def _state(self, x: Tensor) -> TensorState:
        return TensorState.save(self._list_changed_tensors(), x.device)
