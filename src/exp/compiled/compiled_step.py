"""Make the steps of a run with compiled loops, which differ from eager steps by rounding: engine=compiled."""

from collections.abc import Iterable, Sequence

from torch.optim import Optimizer

from exp.compiled.compile_step import record_step
from exp.compiled.compiled_loop import CompiledLoop
from exp.compiled.self_check import find_difference
from exp.compiled.uncompilable import Uncompilable
from exp.data.batches import Stack
from exp.engine.recorded_step import RecordedSteps
from exp.engine.step import EagerStep, Step, StepOutputs
from exp.engine.step_tensors import StepTensors
from exp.engine.update_functions import FUSED, PLAIN
from exp.engine.updates import BareUpdate, make_update
from exp.errors import pluralize


class CompiledStep:
    """Makes the steps of `eager` up to rounding. Call it with gradients disabled.

    What a step computes depends on the state before it alone, so a resumed run makes the same steps. If the step cannot
    be compiled, or a compiled step differs from the eager one, `replay` makes all further steps.

    Args:
        recorded: Compiled loops of the same model and loss, for example of an earlier run. They are checked again.
        replay: What makes the steps that are not compiled.
    """

    def __init__(self, eager: EagerStep, recorded: RecordedSteps, replay: Step) -> None:
        self._eager = eager
        self._loops = recorded.compiled
        self._replay = replay
        self._tensors = StepTensors(eager, [])
        self._update: BareUpdate | None = None
        self._state_of_update: list[object] = []
        self._checked: dict[int, CompiledLoop] = {}  # by the rows of a batch
        self._notes: list[str] = []
        self._reason: str | None = None

    @property
    def fallback_reason(self) -> str | None:
        return self._replay.fallback_reason if self._reason is not None else None

    @property
    def notes(self) -> Sequence[str]:
        return [*self._notes, *self._replay.notes]

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        outputs = StepOutputs()
        is_update_known = False
        for stack in stacks:
            rest = stack
            if self._reason is None and not is_update_known:
                if not _has_state(self._eager.optimizer):
                    first, rest = rest.split(1)  # the eager step creates the optimizer's state
                    outputs.add(*self._eager.update(*next(iter(first))))
                    self._eager.set_gradients([None] * len(self._eager.parameters))
                self._choose_update()
                is_update_known = True
            if len(rest):
                outputs.extend(self._make_steps(rest))
        return outputs

    def _make_steps(self, stack: Stack) -> StepOutputs:
        if self._reason is None:
            try:
                loop = self._checked.get(stack.batch_size) or self._check(stack)
                outputs = StepOutputs()
                outputs.add(*loop.run(stack, self._get_update())[:2])
                return outputs
            except Uncompilable as error:
                self._reason = str(error)
                self._notes.append(f"engine=replay is in use: {self._reason}")
        return self._replay([stack])

    def _choose_update(self) -> None:
        """Choose the optimizer's update, with the tensors of its state as it is now."""
        optimizer = self._eager.optimizer
        state: list[object] = [bool(group.get("momentum")) for group in optimizer.param_groups]
        state += [id(value) for value in optimizer.state.get(self._eager.parameters[0], {}).values()]
        if self._update is None or state != self._state_of_update:
            self._update, self._state_of_update = make_update(optimizer), state
            self._checked.clear()

    def _get_update(self) -> BareUpdate:
        if self._update is None:
            name = type(self._eager.optimizer).__name__
            raise Uncompilable(f"the update of {name} with these options is not compiled")
        return self._update

    def check_again(self) -> None:
        """Check all loops again before their next steps."""
        self._checked.clear()

    def _check(self, stack: Stack) -> CompiledLoop:
        """Return the loop for batches of this size, after its step on the first batch was compared with the eager one.

        It is recorded and compiled if it is the first of them.
        """
        update, key = self._get_update(), (stack.batch_size, *map(id, self._eager.parameters))
        if key not in self._loops:
            self._loops[key] = record_step(self._eager, *next(iter(stack)))
        loop = self._loops[key].find(update, len(stack))
        assert isinstance(loop, CompiledLoop)
        if loop.seconds is not None:
            rows = pluralize(stack.batch_size, "row")
            self._notes.append(f"engine=compiled: compiling the step for {rows} took {loop.seconds:.1f} s")
            loop.seconds = None
        difference = find_difference(self._eager, self._tensors.changed, loop, update, stack.split(1)[0])
        if difference is not None:
            raise Uncompilable(difference)
        self._checked[stack.batch_size] = loop
        return loop


def _has_state(optimizer: Optimizer) -> bool:
    """Return whether the optimizer has all tensors that its update needs."""
    for group in optimizer.param_groups:
        kind = (FUSED if group.get("fused") else PLAIN).get(type(optimizer))
        if kind is None:
            return True  # its update will not be compiled
        needed = {name for name in kind.states if name != "momentum_buffer" or group["momentum"]}
        needed |= {"step"} if kind.counts else set()
        if any(needed - optimizer.state.get(parameter, {}).keys() for parameter in group["params"]):
            return False
    return True
