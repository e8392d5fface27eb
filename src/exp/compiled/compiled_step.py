"""Make the steps of a run with compiled loops, which differ from eager steps by rounding: engine=compiled."""

from collections.abc import Iterable, Sequence
from typing import Any

from exp.compiled.compile_step import CompiledLoops, compile_trace, why_never_compiled
from exp.compiled.compiled_loop import CompiledLoop
from exp.compiled.self_check import make_checked_step
from exp.compiled.uncompilable import Uncompilable
from exp.data.stack import Stack
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep, StepOutputs
from exp.engine.step_tensors import StepTensors
from exp.engine.tensor_state import unchanged
from exp.engine.updates import BareUpdate, has_momentum
from exp.errors import pluralize

# The first steps with each number of rows are eager ones: replay records one of them, and repeats two to the bit, which
# shows that the step depends on nothing else than what a compiled one reads.
FIRST = 4

# Which steps with a number of rows are checked: the first that may be compiled, a few more, and then one in so many.
# They are eager steps too. So what a run computes does not depend on when it is saved or resumed.
_CHECKED, _PERIOD = (FIRST + 1, 64, 1024), 16_384


def _next_check(made: int) -> int:
    """Return the number of the next step that is checked, after so many."""
    return next((step for step in _CHECKED if step > made), (made // _PERIOD + 1) * _PERIOD)


class CompiledStep:
    """Makes the steps of `eager` up to rounding. Call it with gradients disabled.

    No step is made for trial alone, so nothing has to be undone: if the step cannot be compiled, or a compiled step
    differs from the eager one, replay makes all further steps. Compiled ones before stay, with their rounding.

    Args:
        recorded: Recorded steps of the same model and loss, for example of an earlier run. They are checked again.
    """

    def __init__(self, eager: EagerStep, recorded: RecordedSteps) -> None:
        self._eager = eager
        self._recorded = recorded
        self._replay = ReplayStep(eager, recorded, compile_trace)
        self._tensors = StepTensors(eager, recorded.written)
        self._momentum: list[bool] | None = None
        self._current: BareUpdate | None = None  # the update of the last steps of this call, if they were compiled
        self._made: dict[int, int] = {}  # steps of the run with each number of rows
        self._loops: dict[int, CompiledLoop] = {}  # those that were checked
        self._checked_libraries: dict[int, str] = {}  # their names, and those of the run that is resumed
        self._notes: list[str] = []
        self._reason: str | None = None
        self._replayed_since: int | None = None  # the step of the run
        self._is_resumed_with_reason = False

    @property
    def fallback_reason(self) -> str | None:
        return self._replay.fallback_reason

    @property
    def engine(self) -> str:
        return "compiled" if self._reason is None and self.fallback_reason is None else self._replay.engine

    @property
    def notes(self) -> Sequence[str]:
        return self._notes

    def get_state(self) -> dict[str, Any]:
        return {
            "engine": "compiled",
            "made": dict(self._made),
            "reason": self._reason,
            "replayed_since": self._replayed_since,
            "momentum": self._momentum,
            "libraries": dict(self._checked_libraries),
            "unused": self._recorded.some_without_gradient,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("engine") == "compiled":
            self._made, self._reason = dict(state["made"]), state["reason"]
            self._recorded.some_without_gradient |= state.get("unused", False)
            self._momentum, self._checked_libraries = state.get("momentum"), dict(state.get("libraries", {}))
            self._replayed_since, self._is_resumed_with_reason = state.get("replayed_since"), self._reason is not None

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        if self._reason is None:
            self._replay.check_state()
            now = has_momentum(self._eager.optimizer)
            self._momentum = self._momentum or now
            if now != self._momentum:
                self._use_replay("the schedule switches the momentum on or off")
        self._current = None
        outputs = StepOutputs()
        for stack in stacks:
            rest = stack
            while len(rest):
                part, rest = rest.split(self._count_alike(rest))
                outputs.extend(self._make(part))
                self._made[part.batch_size] = self._made.get(part.batch_size, 0) + len(part)
        self._tell()
        return outputs

    def _count_alike(self, stack: Stack) -> int:
        """Return how many of the batches are made in the same way as the first one."""
        made = self._made.get(stack.batch_size, 0)
        if self._reason is not None:
            return len(stack)
        if made < FIRST:
            return min(len(stack), FIRST - made)
        return min(len(stack), max(1, _next_check(made) - made - 1))

    def _make(self, stack: Stack) -> StepOutputs:
        number, known, self._current = self._made.get(stack.batch_size, 0) + 1, self._current, None
        if self._reason is None and number > FIRST:
            try:
                update = known or self._find_update()
                is_checked = _next_check(number - 1) == number
                loop = self._loops.get(stack.batch_size) or self._open(stack, update, is_checked)
                if is_checked:
                    return self._check(stack, loop, update)
                losses, outputs = loop.run(stack, update)
                if loop.found_nan:
                    self._raise_error_of_eager_steps(stack)
                self._current = update
                return StepOutputs([losses], [outputs])
            except Uncompilable as error:
                self._use_replay(str(error))
        return self._replay([stack])

    def _raise_error_of_eager_steps(self, stack: Stack) -> None:
        """Raise the error of eager steps on these batches if there is one, such as an index out of range.

        They begin with the parameters after the compiled steps, so the error may name the outputs, no longer numbers,
        where that of an eager run names the targets. No step is made.
        """
        with unchanged(self._tensors.changed, stack.x.device):
            self._replay([stack])

    def _find_update(self) -> BareUpdate:
        """Return the optimizer's update, with the tensors of its state as it is now."""
        # A step that cannot be compiled may leave parameters without a gradient, and the optimizer without their state.
        recorded = (step.compiled for step in self._recorded.by_batch_size.values())
        reasons = (compiled for compiled in recorded if isinstance(compiled, str))
        never = why_never_compiled(self._eager.optimizer, self._eager.precision, self._eager.pieces is not None)
        reason = self._replay.fallback_reason or never or next(reasons, None)
        if reason is not None:
            raise Uncompilable(reason)
        update = self._replay.update
        if not isinstance(update, BareUpdate):
            raise Uncompilable(
                "a parameter has no gradient"
                if self._recorded.some_without_gradient
                else "the state of the optimizer was cleared, or its update is not the usual one"
            )
        return update

    def _open(self, stack: Stack, update: BareUpdate, is_checked: bool) -> CompiledLoop:
        """Return the loop for batches of this size.

        In a resumed run it is checked without making a step, unless it has the library that was checked before: another
        check might fail where the uninterrupted run makes none.
        """
        one, rows = stack.split(1)[0], stack.batch_size
        if rows not in self._recorded.by_batch_size:
            self._replay.record(one)
        loops = None if self._replay.fallback_reason else self._recorded.by_batch_size[rows].compiled
        if not isinstance(loops, CompiledLoops):
            raise Uncompilable(self._replay.fallback_reason or str(loops or f"it runs on {stack.x.device}"))
        loop = loops.find(update)
        if loop.seconds is not None:
            rows_of = pluralize(rows, "row")
            self._notes.append(f"engine=compiled: compiling the step for {rows_of} took {loop.seconds:.1f} s")
            loop.seconds = None
        if not is_checked and loop.library_name != self._checked_libraries.get(rows):
            with unchanged(self._tensors.changed, stack.x.device):
                self._check(one, loop, update)
            if self._reason is not None:
                raise Uncompilable(self._reason)
        self._loops[rows], self._checked_libraries[rows] = loop, loop.library_name
        return loop

    def _check(self, stack: Stack, loop: CompiledLoop, update: BareUpdate) -> StepOutputs:
        """Make an eager step, and fall back if the compiled one differs."""
        exact = self._recorded.by_batch_size[stack.batch_size].exact
        outputs, reason = make_checked_step(lambda: self._replay([stack]), self._tensors, loop, exact, update, stack)
        if reason is not None:
            self._use_replay(reason)
        return outputs

    def _use_replay(self, reason: str) -> None:
        """Let replay make this step of the run and all further ones."""
        self._reason, self._replayed_since = reason, sum(self._made.values()) + 1

    def _tell(self) -> None:
        """Note which engine makes the steps, if it is not the one that was asked for."""
        other: list[str] = []
        if self._reason and not self.fallback_reason:
            first, is_resumed = self._replayed_since, self._is_resumed_with_reason
            since = [f"since step {first:,}"] if first is not None and (is_resumed or first > FIRST + 1) else []
            if is_resumed:
                since.append("before the run was resumed; a new run with init=FOLDER tries again")
            other.append(f"engine=replay is in use: {self._reason}" + (f" ({', '.join(since)})" if since else ""))
        self._notes += [note for note in (*other, *self._replay.notes) if note not in self._notes]
