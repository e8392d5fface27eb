"""The step recorded once for each size of batch and played from then on, as soon as it has proved itself."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
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
from exp.engine.trace import Trace
from exp.engine.updates import update_of

# How many steps of each recording run beside the eager step, on copies, before it is trusted.
_TRIALS = 2


_SEVERAL = "{} computes gradients several times a step"


class ReplayStep:
    """Makes the steps of `eager`, to the bit, by playing recordings of it. To be called with gradients off.

    Where the step cannot be recorded, or a recording differs from the eager step, every step is made eagerly and
    `fallback_reason` says why.
    """

    def __init__(self, eager: EagerStep, recordings: CompiledSteps) -> None:
        self._eager = eager
        self._recordings = recordings  # of this very model and loss, by an earlier run; each proves itself again
        self._trusted: dict[int, CompiledStep] = {}
        self._trials: dict[int, int] = {}  # how often each recording has proved itself
        self._update: Callable[[list[Any]], None] = self._step_of_the_optimizer
        self._has_bare_update = True  # until a recording, or the optimizer, says otherwise
        self._momentum = self._has_momentum()
        self._steps = 0
        self.fallback_reason: str | None = (
            _SEVERAL.format(type(eager.optimizer).__name__) if needs_closure(eager.optimizer) else None
        )

    def __call__(self, batches: Iterable[Batch]) -> StepOutputs:
        if self._has_momentum() != self._momentum:  # a schedule took it from or to 0, where torch keeps other state
            self._use_the_optimizers_own_step()
        made = StepOutputs()
        batches = iter(batches)
        batch = next(batches, None)
        while batch is not None:
            x, y = batch
            play = self._trusted.get(x.size(0))
            if play is None:
                made.add(*self._learn(x, y), y)
                batch = next(batches, None)
            else:
                with torch.inference_mode():
                    batch = play(chain((batch,), batches), self._update, made)
        return made

    def _learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """An eager step; on the way from it to a played one, it is recorded, or runs beside the recording."""
        self._steps += 1
        if self.fallback_reason is not None or self._steps == 1:
            return self._eager.one(x, y)  # the first step makes the optimizer's state
        try:
            if len(x) not in self._recordings.by_batch_size:
                return self._trace_step(x, y)
            return self._verify(x, y)
        finally:
            for parameter in self._eager.parameters:
                parameter.grad = None  # whoever plays needs no room for these

    def _trace_step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        tapes: list[tuple[Trace, Gradients]] = []
        modules = (self._eager.model, self._eager.criterion)
        before = observable_state(modules)

        def taped() -> Gradients:
            with Trace() as tape:
                gradients = self._eager.gradients(x, y)
            tapes.append((tape, gradients))
            return gradients

        made = self._eager.updated(taped)
        (tape, gradients), *more = tapes
        moved = first_difference(before, observable_state(modules))
        if tape.fallback_reason is not None:
            self._fall_back(tape.fallback_reason)
        elif more:
            self._fall_back(_SEVERAL.format(type(self._eager.optimizer).__name__))
        elif moved is not None:
            self._fall_back(f"each step changes {moved}, which no recording would")
        else:
            with self._falls_back_on_error():
                self._recordings.by_batch_size[len(x)] = self._player(tape, x, y, gradients)
                self._recordings.some_without_gradient |= None in gradients[2]
        return made

    def _player(self, tape: Trace, x: Tensor, y: Tensor, gradients: Gradients) -> CompiledStep:
        known = {id(tensor) for tensor in self._tensors()}
        known |= {id(tensor) for call in tape.calls for tensor in call.outputs}
        written = [tensor for call in tape.calls for tensor in call.written if id(tensor) not in known]
        if any(tensor is x or tensor is y for tensor in written):
            raise NotImplementedError("it writes into its batch")
        self._recordings.written += written
        play = compile_trace(tape.calls, x, y, [*self._eager.parameters, *self._buffers()], gradients)
        if not x.is_cuda:
            return play
        before = self._snapshot(x)
        try:
            return capture_cuda_graph(play, x, y)
        finally:
            self._restore(before)

    def _verify(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """An eager step, and then the recorded one from where that began; both must end in the same place."""
        play, trials = self._recordings.by_batch_size[len(x)], self._trials.get(len(x), 0)
        self._choose_update()
        before = self._snapshot(x)
        found: list[Gradients] = []

        def kept() -> Gradients:
            found.append(self._eager.gradients(x, y))
            return found[-1]

        made = self._eager.updated(kept)
        if len(found) > 1:
            self._fall_back(_SEVERAL.format(type(self._eager.optimizer).__name__))
            return made
        after = self._snapshot(x)
        self._restore(before)
        played = StepOutputs()
        seen: list[list[Tensor | None]] = []
        same = False
        with self._falls_back_on_error():
            with torch.inference_mode():
                play([(x, y)], seen.append, played)
            (gradients,) = seen
            same = _same([*made, *found[0][2]], [*played.losses, *played.outputs, *gradients])
            if self._update != self._step_of_the_optimizer:  # which is the eager step's own
                self._update(gradients)
                same = same and self._is_at(after)
            else:
                same = same and self._is_at(after, but=self._updated())
        self._restore(after)
        if self.fallback_reason is None and not same:
            self._fall_back("the recording did not give the eager step's bits")
        elif self.fallback_reason is None and trials + 1 == _TRIALS:
            self._trusted[len(x)] = play
        else:
            self._trials[len(x)] = trials + 1
        return made

    def _fall_back(self, reason: str) -> None:
        """Make every step eagerly from here on."""
        self.fallback_reason = reason
        self._trusted.clear()
        self._recordings.by_batch_size.clear()

    @contextmanager
    def _falls_back_on_error(self) -> Generator[None]:
        """A failure inside is the recording's, and no reason to stop: the eager step made the same step already."""
        try:
            yield
        except Exception as error:
            self._fall_back(f"the step cannot be recorded: {error}")

    def _choose_update(self) -> None:
        if self._recordings.some_without_gradient:
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

    def _updated(self) -> list[Tensor]:
        """What the optimizer changes."""
        states = [self._eager.optimizer.state.get(parameter, {}) for parameter in self._eager.parameters]
        kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*(parameter.data for parameter in self._eager.parameters), *kept]

    def _tensors(self) -> list[Tensor]:
        """Every tensor that a step is known to change."""
        return [*self._updated(), *self._buffers(), *self._recordings.written]

    def _snapshot(self, x: Tensor) -> list[tuple[Tensor | torch.device, Tensor]]:
        """Those tensors with copies of them, and devices with the state of their random streams."""
        random: list[tuple[Tensor | torch.device, Tensor]] = [(torch.device("cpu"), torch.get_rng_state())]
        if x.is_cuda:
            random.append((x.device, torch.cuda.get_rng_state(x.device)))
        return [*((tensor, tensor.clone()) for tensor in self._tensors()), *random]

    def _restore(self, snapshot: list[tuple[Tensor | torch.device, Tensor]]) -> None:
        for place, value in snapshot:
            if isinstance(place, Tensor):
                place.resize_(value.shape).copy_(value)
            elif place.type == "cuda":
                torch.cuda.set_rng_state(value, place)
            else:
                torch.set_rng_state(value)

    def _is_at(self, snapshot: list[tuple[Tensor | torch.device, Tensor]], but: Sequence[Tensor] = ()) -> bool:
        """Whether everything in the snapshot is as it was then, the tensors `but` aside."""
        left_out = {tensor.data_ptr() for tensor in but}
        for place, value in snapshot:
            if isinstance(place, Tensor):
                same = place.data_ptr() in left_out or _equal(place, value)
            elif place.type == "cuda":
                same = torch.equal(torch.cuda.get_rng_state(place), value)
            else:
                same = torch.equal(torch.get_rng_state(), value)
            if not same:
                return False
        return True


def _same(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None]) -> bool:
    """Whether all are equal to the bit; None, where a parameter has no gradient, equals None alone."""
    pairs = zip(ours, theirs, strict=True)
    return all(a is b or (a is not None and b is not None and _equal(a, b)) for a, b in pairs)


def _equal(a: Tensor, b: Tensor) -> bool:
    """To the bit: -0. is not 0., and NaN is the NaN of the same bits."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)))
