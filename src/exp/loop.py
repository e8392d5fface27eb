"""Training as a sequence of events, in every batching mode and for every learner. Knows no disk, clock or config."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from exp.data.batches import Batches
from exp.data.split import Data
from exp.errors import Diverged
from exp.events import Evaluated, Event, Noted, Snapshot, Trained
from exp.learner import Learner
from exp.measures import Measures


@dataclass(frozen=True)
class Plan:
    """How long, and what happens every so many steps; what is due every n steps is due at the last step too."""

    steps: int
    log: int
    evaluate: int
    save: int
    schedule: int | None = None
    patience: int | None = None  # evaluations without a validation loss lower by min_delta, after which training stops
    min_delta: float = 0.0
    longest: int = 256  # steps at a time, so that neither memory nor patience grows with the time between two events

    def due(self, period: int | None, step: int) -> bool:
        return period is not None and (step % period == 0 or step == self.steps)

    def stop_after(self, step: int) -> int:
        """The step after `step` at which training has to stop: something is due, or it has gone on for `longest`."""
        periods = [period for period in (self.evaluate, self.save, self.schedule) if period is not None]
        return min(self.steps, step + self.longest, *(step - step % period + period for period in periods))

    def logged_between(self, step: int, stop: int) -> list[int]:
        """The steps after `step` at which a log is due, and `stop`: where the steps between them are divided."""
        return [*range(step - step % self.log + self.log, stop, self.log), stop]


def train(learner: Learner, batches: Batches, data: Data, plan: Plan) -> Iterator[Event]:
    """What happens, in order, from the evaluation before the first step to those after the last.

    Diverged, naming the step, as soon as a loss is NaN or infinite: what comes after it would mean nothing.
    """
    stream = batches.stream()
    best = _Best(plan.patience, plan.min_delta)
    at = batches.position(0)
    val_loss = math.inf

    def evaluate() -> Iterator[Event]:
        nonlocal val_loss
        measures = learner.evaluate(data.val)
        if not math.isfinite(measures.loss):
            raise _diverged([measures.loss], at.step, "validation", learner.lr)
        val_loss = measures.loss
        improved = best.takes(val_loss)
        yield Evaluated(at, "val", measures, improved)
        if improved:
            yield Snapshot(at, learner.state(), best=True)

    yield from evaluate()
    since_log: Measures | None = None
    lr = learner.lr
    noted = False
    while at.step < plan.steps and not best.is_old:
        stop = plan.stop_after(at.step)
        logged = plan.logged_between(at.step, stop)
        windows = [b - a for a, b in pairwise([at.step, *logged])]
        first = at.step + 1
        lr = learner.lr
        losses, measured = learner.advance(islice(stream, stop - at.step), windows, batches.rows)
        if learner.step.obstacle is not None and not noted:
            noted = True
            yield Noted(at, f"engine=eager is in use: {learner.step.obstacle}")
        for end, measures in zip(logged, measured, strict=True):
            if not math.isfinite(measures.loss_sum):
                raise _diverged(losses, first, "training", lr)
            since_log = measures if since_log is None else since_log + measures
            at = batches.position(end)
            if plan.due(plan.log, end):
                yield Trained(at, since_log, lr)
                since_log = None
        if plan.due(plan.evaluate, stop):
            yield from evaluate()
        if plan.schedule is not None and stop % plan.schedule == 0:
            learner.schedule(val_loss)
        if plan.due(plan.save, stop) or best.is_old:
            yield Snapshot(at, learner.state(), best=False)
    if since_log is not None:
        yield Trained(at, since_log, lr)
    yield Evaluated(at, "train", learner.evaluate(data.train))
    yield Evaluated(at, "test", learner.evaluate(data.test))


class _Best:
    """The lowest validation loss so far, and how many evaluations have gone by since one was lower by `min_delta`."""

    def __init__(self, patience: int | None, min_delta: float) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.loss = math.inf
        self.to_beat = math.inf
        self.waited = 0

    def takes(self, loss: float) -> bool:
        if loss < self.to_beat - self.min_delta:
            self.to_beat = loss
            self.waited = 0
        else:
            self.waited += 1
        improved = loss < self.loss
        self.loss = min(self.loss, loss)
        return improved

    @property
    def is_old(self) -> bool:
        return self.patience is not None and self.waited >= self.patience


def _diverged(losses: list[float], first_step: int, which: str, lr: float) -> Diverged:
    """The error that names the first of `losses` that is NaN or infinite; that of losses[0] is `first_step`."""
    index, loss = next((i, loss) for i, loss in enumerate(losses) if not math.isfinite(loss))
    return Diverged(
        f"the {which} loss became {loss} at step {first_step + index}",
        f"a smaller learning rate, optimizer.lr={min(lr / 10, 0.01):.3g}, or clip_grad_norm=1.0",
    )
