"""The step recorded once for each size of batch and played from then on, as soon as it has proved itself."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from exp.captured import captured
from exp.data.batches import Batch
from exp.playing import Play, player
from exp.recording import Tape
from exp.step import EagerStep, Gradients, Made
from exp.uncompiled import step_of
from exp.updates import update_of

# How many steps of each recording run beside the eager step, on copies, before it is trusted.
_TRIALS = 2


class RecordedStep:
    """Makes the steps of `eager`, to the bit, by playing recordings of it. To be called with gradients off.

    Where the step cannot be recorded, or a recording differs from the eager step, every step is made eagerly and
    `obstacle` says why.
    """

    def __init__(self, eager: EagerStep) -> None:
        self._eager = eager
        self._trusted: dict[int, Play] = {}
        self._on_trial: dict[int, tuple[Play, int]] = {}
        self._update: Callable[[list[Any]], None] | None = None
        self._steps = 0
        self.obstacle: str | None = None

    def __call__(self, batches: Iterable[Batch]) -> Made:
        made = Made()
        batches = iter(batches)
        batch = next(batches, None)
        while batch is not None:
            x, y = batch
            play = self._trusted.get(x.size(0))
            if play is None:
                made.add(*self._learn(x, y), y)
                batch = next(batches, None)
            else:
                assert self._update is not None  # before anything is trusted
                with torch.inference_mode():
                    batch = play(chain((batch,), batches), self._update, made)
        return made

    def _learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """An eager step; on the way from it to a played one, it is recorded, or runs beside the recording."""
        self._steps += 1
        if self.obstacle is not None or self._steps == 1:
            return self._eager.one(x, y)  # the first step makes the optimizer's state
        try:
            if len(x) not in self._on_trial:
                return self._record(x, y)
            return self._try(x, y)
        finally:
            for parameter in self._eager.parameters:
                parameter.grad = None  # whoever plays needs no room for these

    def _record(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        tapes: list[tuple[Tape, Gradients]] = []

        def taped() -> Gradients:
            with Tape() as tape:
                gradients = self._eager.gradients(x, y)
            tapes.append((tape, gradients))
            return gradients

        made = self._eager.updated(taped)
        (tape, gradients), *more = tapes
        self.obstacle = tape.obstacle
        if more:
            self.obstacle = f"{type(self._eager.optimizer).__name__} computes gradients several times a step"
        if self.obstacle is None:
            with self._excused():
                self._on_trial[len(x)] = self._player(tape, x, y, gradients), 0
            bare = None if None in gradients[2] else update_of(self._eager.optimizer)
            self._update = self._update or bare or self._step_of_the_optimizer
        return made

    def _player(self, tape: Tape, x: Tensor, y: Tensor, gradients: Gradients) -> Play:
        play = player(tape.calls, x, y, [*self._eager.parameters, *self._eager.model.buffers()], gradients)
        if not x.is_cuda:
            return play
        before = self._snapshot(x)
        play = captured(play, x, y)
        self._restore(x, before)
        return play

    @contextmanager
    def _excused(self) -> Generator[None]:
        """A failure inside is the recording's, and no reason to stop: the eager step made the same step already."""
        try:
            yield
        except Exception as error:
            self.obstacle = f"the step cannot be recorded: {error}"
            self._trusted.clear()

    def _try(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """An eager step, and then the recorded one from where that began; both must end in the same place."""
        play, trials = self._on_trial[len(x)]
        assert self._update is not None
        before = self._snapshot(x)
        found: list[Gradients] = []

        def kept() -> Gradients:
            found.append(self._eager.gradients(x, y))
            return found[-1]

        made = self._eager.updated(kept)
        after = self._snapshot(x)
        self._restore(x, before)
        played = Made()
        seen: list[list[Tensor | None]] = []
        same = False
        with self._excused():
            with torch.inference_mode():
                play([(x, y)], seen.append, played)
            (gradients,) = seen
            same = _same([*made, *found[0][2]], [*played.losses, *played.outputs, *gradients])
            if self._update != self._step_of_the_optimizer:  # which is the eager step's own
                self._update(gradients)
                same = same and _same(self._snapshot(x), after)
        self._restore(x, after)
        if self.obstacle is not None:
            return made
        if not same:
            self.obstacle = "the recording did not give the eager step's bits"
            self._trusted.clear()
        elif trials + 1 == _TRIALS:
            self._trusted[len(x)] = play
        else:
            self._on_trial[len(x)] = play, trials + 1
        return made

    def _tensors(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        states = [self._eager.optimizer.state.get(parameter, {}) for parameter in self._eager.parameters]
        kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*(parameter.detach() for parameter in self._eager.parameters), *self._eager.model.buffers(), *kept]

    def _snapshot(self, x: Tensor) -> list[Tensor]:
        """Copies of those tensors, and of the random streams' states behind them."""
        random = [torch.get_rng_state(), *([torch.cuda.get_rng_state(x.device)] if x.is_cuda else [])]
        return [*(tensor.clone() for tensor in self._tensors()), *random]

    def _restore(self, x: Tensor, snapshot: list[Tensor]) -> None:
        tensors = self._tensors()
        for tensor, value in zip(tensors, snapshot, strict=False):
            tensor.copy_(value)
        torch.set_rng_state(snapshot[len(tensors)])
        if x.is_cuda:
            torch.cuda.set_rng_state(snapshot[len(tensors) + 1], x.device)

    def _step_of_the_optimizer(self, gradients: list[Tensor | None]) -> None:
        self._eager.assign(gradients)
        step_of(self._eager.optimizer)(None)


def _same(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None]) -> bool:
    """Whether all are equal to the bit; None, where a parameter has no gradient, equals None alone."""
    pairs = zip(ours, theirs, strict=True)
    return all(a is b or (a is not None and b is not None and _equal(a, b)) for a, b in pairs)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
