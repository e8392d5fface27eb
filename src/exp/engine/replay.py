"""Capture the step once per batch size, and replay it once it has reproduced the bits of the eager step."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from enum import Enum, auto

import torch
from torch import Tensor

from exp.data.batches import Stack
from exp.engine.cuda_graph import capture_cuda_graph
from exp.engine.optimizers import needs_closure
from exp.engine.program import write_program
from exp.engine.python_loop import Loop, PythonLoop
from exp.engine.recorded_step import RecordedStep, RecordedSteps
from exp.engine.script_loop import NotScriptableError, ScriptLoop, ScriptSource
from exp.engine.side_effects import first_difference, observable_state
from exp.engine.step import EagerStep, Gradients, StepOutputs, eager_notes
from exp.engine.tensor_state import TensorState, are_equal
from exp.engine.trace import Trace
from exp.engine.updates import BareUpdate, NoUpdate, OptimizerStep, Update, make_update

# How many replayed steps of each batch size must reproduce the eager step, on copies, before replay is trusted.
_VERIFICATIONS = 2


_OTHER_UPDATE = "the update differs from that of the optimizer"
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
        recorded: Recorded steps of the same model and loss, for example of an earlier run. They are verified again.
    """

    def __init__(self, eager: EagerStep, recorded: RecordedSteps) -> None:
        self._eager = eager
        self._recorded = recorded
        self._verified: dict[Loop, int] = {}  # how many steps of the loop reproduced the eager one
        self._optimizer_step = OptimizerStep(eager)
        self._update: Update = self._optimizer_step
        self._has_bare_update = True  # see _choose_update
        self._momentum = self._has_momentum()
        self._steps = 0
        self.fallback_reason: str | None = (
            _SEVERAL.format(type(eager.optimizer).__name__) if needs_closure(eager.optimizer) else None
        )

    @property
    def notes(self) -> Sequence[str]:
        failures = (step.script_failure for step in self._recorded.by_batch_size.values())
        slower = [f"steps are replayed without TorchScript: {failure}" for failure in failures if failure is not None]
        return [*slower[:1], *eager_notes(self.fallback_reason)]

    def stage(self, batch_size: int) -> Stage:
        """Return how the next step is made if its batch has `batch_size` rows."""
        if self.fallback_reason is not None or self._steps == 0:
            return Stage.EAGER
        if batch_size not in self._recorded.by_batch_size:
            return Stage.CAPTURE
        loop = self._recorded.by_batch_size[batch_size].loop(self._update)
        return Stage.REPLAY if self._verified.get(loop, 0) >= _VERIFICATIONS else Stage.VERIFY

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        if self._has_momentum() != self._momentum:  # a scheduler changed it from or to 0, where torch keeps other state
            self._use_optimizer_step()
        outputs = StepOutputs()
        for stack in stacks:
            rest = stack
            while len(rest):
                stage = self.stage(stack.batch_size)
                if stage is Stage.REPLAY:
                    outputs.add(*self._replay(rest))
                    break
                first, rest = rest.split(1)
                outputs.add(*self._eager_step(stage, first))
        return outputs

    def _replay(self, stack: Stack) -> tuple[Tensor, Tensor]:
        step = self._recorded.by_batch_size[stack.batch_size]
        with torch.inference_mode():
            losses, outputs, _ = step.loop(self._update).run(stack, self._update)
        step.steps += len(stack)
        return losses, outputs

    def _eager_step(self, stage: Stage, stack: Stack) -> tuple[Tensor, Tensor]:
        """Make an eager step, and capture or verify it as `stage` says. Return the loss and the outputs before it."""
        self._steps += 1
        x, y = stack.x[0], stack.y[0]
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
                self._recorded.by_batch_size[len(x)] = self._record(trace, x, y, gradients)
                self._recorded.some_without_gradient |= None in gradients[2]
        return loss_and_output

    def _record(self, trace: Trace, x: Tensor, y: Tensor, gradients: Gradients) -> RecordedStep:
        """Make loops of the trace of a step on x and y; on a GPU, capture the step in a CUDA graph."""
        known = {id(tensor) for tensor in self._list_changed_tensors()}
        known |= {id(tensor) for call in trace.calls for tensor in call.outputs}
        written = [tensor for call in trace.calls for tensor in call.written if id(tensor) not in known]
        if any(tensor is x or tensor is y for tensor in written):
            raise NotImplementedError("it writes into its batch")
        self._recorded.written += written
        program = write_program(trace.calls, x, y, [*self._eager.parameters, *self._buffers()], gradients)
        loop = PythonLoop(program)
        if not x.is_cuda:
            try:
                return RecordedStep(loop, ScriptSource(program))
            except NotScriptableError:
                return RecordedStep(loop, None)
        before = self._state(x)
        try:
            return RecordedStep(capture_cuda_graph(loop, x, y), None)
        finally:
            before.restore()

    def _verify(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make an eager step, then a replayed one from the same state. Both must give the same bits."""
        self._choose_update()
        step = self._recorded.by_batch_size[len(x)]
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
        loop = step.loop(self._update)
        difference = self._compare(loop, Stack(x.unsqueeze(0), y.unsqueeze(0)), computed[0], after)
        if difference is None:
            self._verified[loop] = self._verified.get(loop, 0) + 1
        elif isinstance(loop, ScriptLoop):
            step.reject_script(difference)
        elif difference == _OTHER_UPDATE:
            self._use_optimizer_step()
        else:
            self._fall_back(difference)
        after.restore()
        return loss_and_output

    def _compare(self, loop: Loop, stack: Stack, expected: Gradients, after: TensorState) -> str | None:
        """Make a step with the loop; return why it does not give `expected` and end in the state `after`, or None."""
        # The optimizer's own step is the one that the eager step made.
        update = self._update if isinstance(self._update, BareUpdate) else NoUpdate()
        try:
            with torch.inference_mode():
                losses, outputs, gradients = loop.run(stack, update)
        except Exception as error:  # the eager step was made already
            return f"the step cannot be captured: {error}"
        loss, output, expected_gradients = expected
        results = [loss.reshape(1), output, *expected_gradients]
        updated = self._list_updated_tensors()
        if not are_equal(results, [losses, outputs, *gradients]) or not after.is_current(ignore=updated):
            return "the replayed step differs from the eager step"
        return None if isinstance(update, NoUpdate) or after.is_current() else _OTHER_UPDATE

    def _fall_back(self, reason: str) -> None:
        """Make all further steps eagerly."""
        self.fallback_reason = reason
        self._recorded.by_batch_size.clear()

    @contextmanager
    def _falls_back_on_error(self) -> Generator[None]:
        """Fall back after an error inside instead of raising it: the eager step was made already."""
        try:
            yield
        except Exception as error:
            self._fall_back(f"the step cannot be captured: {error}")

    def _choose_update(self) -> None:
        """Use the optimizer's bare update where there is one."""
        if self._recorded.some_without_gradient:
            self._use_optimizer_step()  # bare updates assume that all parameters made the same number of steps
        elif self._has_bare_update:
            self._update = make_update(self._eager.optimizer) or self._optimizer_step

    def _use_optimizer_step(self) -> None:
        self._update, self._has_bare_update = self._optimizer_step, False

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
        return [*self._list_updated_tensors(), *self._buffers(), *self._recorded.written]

    def _state(self, x: Tensor) -> TensorState:
        return TensorState.save(self._list_changed_tensors(), x.device)
