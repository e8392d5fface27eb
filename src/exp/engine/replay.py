"""Capture the step once per batch size, and replay it once it has reproduced the bits of the eager step."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from exp.data.stack import Stack
from exp.engine.hooks import HookCount, find_hook
from exp.engine.make_loops import Compile, make_loops
from exp.engine.optimizers import is_plain_torch, needs_closure
from exp.engine.parameter_memory import ParameterMemory
from exp.engine.python_loop import Loop
from exp.engine.recorded_step import RecordedSteps
from exp.engine.side_effects import StateBetweenSteps, first_difference, observable_state
from exp.engine.step import EagerStep, Gradients, StepOutputs, StepWithoutState, eager_notes
from exp.engine.step_tensors import StepTensors
from exp.engine.tensor_state import TensorState, are_equal, unchanged
from exp.engine.trace import Trace
from exp.engine.updates import BareUpdate, NoUpdate, OptimizerStep, Update, basis_of_update, make_update
from exp.errors import first_line

# How many replayed steps of each batch size must reproduce the eager step, on copies, before replay is trusted. In a
# later job that trains an equal model, one must.
_VERIFICATIONS = 2

_CHANGES = "{} changes between steps, which a replayed step would not see"
_HOOKED = "{} has a hook, which a replayed step would not call"
_OTHER_UPDATE = "the update differs from that of the optimizer"


class ReplayStep(StepWithoutState):
    """Makes the steps of `eager`, to the bit, by replaying a captured step. Call it with gradients disabled.

    If the step cannot be captured, or a replayed step differs from the eager one, all further steps are eager and
    `fallback_reason` says why.

    Args:
        eager: The step to reproduce.
        recorded: Recorded steps of the same model and loss, for example of an earlier run. They are verified again.
        compile_trace: What to do with each trace besides; the result is `compiled` of the recorded step.
    """

    def __init__(self, eager: EagerStep, recorded: RecordedSteps, compile_trace: Compile | None = None) -> None:
        self._eager = eager
        self._compile = compile_trace
        self._recorded = recorded
        recorded.keep_those_for(eager.parameters)
        self._verified: dict[Loop, int] = {}  # how many steps of the loop reproduced the eager one
        self._tensors = StepTensors(eager, recorded.written)
        self._state, self._hooks = StateBetweenSteps(eager.modules), HookCount(eager.modules)
        self._memory = ParameterMemory(eager.parameters)
        self._trained = [*map(id, eager.parameters)]
        self._chosen_update: Update | None = None  # None: it is to be chosen
        self._allows_bare_update = True  # unless it differs from the optimizer's
        self._basis: list[object] = []  # of the chosen update
        self._made: set[int] = set()  # the sizes of batches that eager steps were made on
        self._several = f"{type(eager.optimizer).__name__} computes gradients several times a step"
        self.fallback_reason: str | None = self._several if needs_closure(type(eager.optimizer)) else None

    @property
    def engine(self) -> str:
        return "replay" if self.fallback_reason is None else "eager"

    @property
    def notes(self) -> Sequence[str]:
        failures = {step.failure for step in self._recorded.by_batch_size.values()} - {None}
        slower = [f"steps are replayed by the slower of two ways: {failure}" for failure in failures]
        return [*slower[:1], *eager_notes(self.fallback_reason)]

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        self.check_state()
        outputs = StepOutputs()
        for stack in stacks:
            rest = stack
            while len(rest):
                make, count = self._choose(rest)
                first, rest = rest.split(count)
                outputs.extend(make(first))
        return outputs

    def _choose(self, rest: Stack) -> tuple[Callable[[Stack], StepOutputs], int]:
        """Return what makes the next steps, and how many of them.

        For batches of one size, the first step is eager: the user's code may make tables in it, and the optimizer its
        state. Then a step is captured, then steps are verified, then replayed. After a fallback, every step is eager.
        """
        if self.fallback_reason is None and (changed := self._memory.find_change()) is not None:
            self._fall_back(_CHANGES.format(changed))
        if self.fallback_reason is not None:
            return self._make_eagerly, len(rest)
        recorded = self._recorded.by_batch_size.get(rest.batch_size)
        if not self._made or (recorded is None and rest.batch_size not in self._made):
            return self._make_eagerly, 1
        if recorded is None:
            return self._capture, 1
        loop = recorded.loop(self.update, len(rest))
        if self._verified.get(loop, 0) < (1 if loop in self._recorded.proven else _VERIFICATIONS):
            return partial(self._verify, loop), recorded.verified_at_once(loop, len(rest))
        # A user's optimizer may do something else in any step, which is checked before the next one.
        whole = len(rest) - len(rest) % loop.window
        return partial(self._replay, loop), whole if is_plain_torch(self._eager.optimizer) else loop.window

    def _make_eagerly(self, stack: Stack) -> StepOutputs:
        outputs = self._eager([stack])
        self._made.add(stack.batch_size)
        if self.fallback_reason is None and any(parameter.grad is None for parameter in self._eager.parameters):
            self._recorded.some_without_gradient, self._chosen_update = True, None
        if self.fallback_reason is None and self._state.find_change() is not None:
            self._state.keep()
            self._verified.clear()  # loops for other sizes may depend on it too
        return outputs

    def _replay(self, loop: Loop, stack: Stack) -> StepOutputs:
        outputs = StepOutputs()
        with torch.inference_mode():
            outputs.add(*loop.run(stack, self.update)[:2])
        return outputs

    def check_state(self) -> None:
        """Fall back if something has changed the state of the model since its step was captured.

        If something has changed what the update takes for granted, another one is chosen, and verified.
        """
        if self.fallback_reason is not None:
            return
        if self._chosen_update is not None and basis_of_update(self._eager.optimizer) != self._basis:
            self._chosen_update = None
            self._verified.clear()
        if (changed := self._state.find_change()) is not None:
            self._fall_back(_CHANGES.format(changed))
        elif [*map(id, self._eager.parameters)] != self._trained:
            self._fall_back(_CHANGES.format("the optimizer's list of parameters"))
        elif self._hooks.is_changed():
            self._fall_back(_HOOKED.format(find_hook(self._eager.modules) or "the model"))

    def record(self, stack: Stack) -> None:
        """Record the step on a batch like this one without making it. Earlier steps must have shown that it can be."""
        with unchanged(self._tensors.changed, stack.x.device):
            self._make_eagerly(stack)
            self._capture(stack)

    def _capture(self, stack: Stack) -> StepOutputs:
        """Make an eager step, trace it and make loops of the trace."""
        ((x, y),) = stack
        traces: list[tuple[Trace, Gradients]] = []
        modules = self._eager.modules
        before = observable_state(modules)

        def compute() -> Gradients:
            with Trace() as trace:
                gradients = self._eager.compute_gradients(x, y)
            traces.append((trace, gradients))
            return gradients

        outputs = StepOutputs()
        outputs.add(*self._eager.update_with(compute))
        (trace, gradients), *more = traces
        changed, hooked = first_difference(before, observable_state(modules)), find_hook(modules)
        if hooked is not None:
            self._fall_back(_HOOKED.format(hooked))
        elif trace.fallback_reason is not None:
            self._fall_back(trace.fallback_reason)
        elif more:
            self._fall_back(self._several)
        elif changed is not None:
            self._fall_back(f"each step changes {changed}, which a replayed step would not")
        else:
            try:
                step = make_loops(trace, self._tensors, x, y, gradients, self._compile)
                self._recorded.by_batch_size[len(x)] = step
                self._state.keep()
                self._recorded.some_without_gradient |= None in gradients[2]
            except Exception as error:  # the eager step was made already
                kind = "" if isinstance(error, NotImplementedError) else f"{type(error).__name__}: "
                self._fall_back(f"the step cannot be captured: {kind}{first_line(error)}")
        self._eager.release_gradients()
        self._chosen_update = None  # it depends on what was captured
        return outputs

    def _verify(self, loop: Loop, stack: Stack) -> StepOutputs:
        """Make eager steps, then those of the loop from the same state. Both must give the same bits."""
        before = TensorState.save(self._tensors.changed, stack.x.device)
        outputs = StepOutputs()
        computed: list[list[Tensor | None]] = []
        for x, y in stack:

            def compute(x: Tensor = x, y: Tensor = y) -> Gradients:
                loss, output, gradients = self._eager.compute_gradients(x, y)
                # The update may change them.
                computed.append([None if one is None else one.clone() for one in gradients])
                return loss, output, gradients

            outputs.add(*self._eager.update_with(compute))
        self._eager.release_gradients()
        if len(computed) > len(stack):
            self._fall_back(self._several)
            return outputs
        after = TensorState.save(self._tensors.changed, stack.x.device)
        before.restore()
        difference = self._compare(loop, stack, outputs, computed[-1], after)
        if difference is None:
            self._verified[loop] = self._verified.get(loop, 0) + 1
            if self._verified[loop] == _VERIFICATIONS:
                self._recorded.proven.add(loop)
        elif not self._recorded.by_batch_size[stack.batch_size].reject(loop, difference):
            if difference == _OTHER_UPDATE:
                self._chosen_update, self._allows_bare_update = None, False
            else:
                self._fall_back(difference)
        after.restore()
        return outputs

    def _compare(
        self, loop: Loop, stack: Stack, expected: StepOutputs, gradients: list[Tensor | None], after: TensorState
    ) -> str | None:
        """Run the loop; return why it does not give the outputs and last gradients and end in `after`, or None."""
        # The optimizer's own step is the one that the eager step made.
        update = self.update if isinstance(self.update, BareUpdate) else NoUpdate()
        try:
            with torch.inference_mode():
                *results, last_gradients = loop.run(stack, update)
        except Exception as error:  # the eager steps were made already
            return f"the step cannot be captured: {first_line(error)}"
        results = [*results, *last_gradients]
        is_same = are_equal([torch.cat(expected.losses), torch.cat(expected.outputs), *gradients], results)
        if not is_same or not after.is_current(ignore=self._tensors.updated):
            return "the replayed step differs from the eager step"
        return None if isinstance(update, NoUpdate) or after.is_current() else _OTHER_UPDATE

    def _fall_back(self, reason: str) -> None:
        """Make all further steps eagerly."""
        self.fallback_reason = reason
        self._recorded.by_batch_size.clear()
        self._recorded.proven.clear()

    @property
    def update(self) -> Update:
        """The optimizer's bare update where there is one."""
        if self._chosen_update is None:
            # Bare updates assume that all parameters made the same number of steps.
            is_bare = self._allows_bare_update and not self._recorded.some_without_gradient
            bare = make_update(self._eager.optimizer) if is_bare else None
            self._chosen_update = bare or OptimizerStep(self._eager)
            self._basis = basis_of_update(self._eager.optimizer)
        return self._chosen_update
