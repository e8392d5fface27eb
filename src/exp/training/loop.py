"""Training as a sequence of events, in every batching mode and for every learner. Knows no disk, clock or config."""

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise

from torch import Tensor

from exp.data.batches import Batches
from exp.data.splits import Splits
from exp.errors import Diverged, ExpError
from exp.training.events import Evaluated, Event, Histograms, Noted, Resumed, Snapshot, State, Trained
from exp.training.learner import Learner
from exp.training.plan import Plan
from exp.training.state import TrainingState, random_state, restore_random


def train(
    learner: Learner,
    batches: Batches,
    data: Splits,
    plan: Plan,
    checkpoint: State | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """What happens, in order, from the evaluation before the first step to those after the last.

    With `since`, the state of a snapshot, it goes on from there. Once `asked_to_stop` says so, the last event is a
    snapshot, and KeyboardInterrupt follows. Diverged, naming the step, as soon as a loss is NaN or infinite: what comes
    after it would mean nothing.
    """
    device = data.train.x.device
    preprocessing = data.preprocessing.to_json()
    progress = TrainingState()
    stream = batches.stream()
    if checkpoint is not None:
        progress = TrainingState.from_state(checkpoint["progress"])
        learner.load(checkpoint)
        restore_random(checkpoint["random"], device)
        stream = batches.stream(progress.step, checkpoint["epoch_began"])
        yield Resumed(batches.position(progress.step), progress.best_loss, progress.best_step)

    def snapshot(best: bool) -> Snapshot:
        state = {
            **learner.state(),
            "progress": progress.state(),
            "random": random_state(device),
            "epoch_began": stream.began,
            "data": data.fingerprint,
            "preprocessing": preprocessing,
        }
        return Snapshot(batches.position(progress.step), state, best)

    def watched() -> Iterator[Event]:
        nonlocal unwatched
        at = batches.position(progress.step)
        weights = dict[str, Tensor](learner.model.named_parameters())
        if not unwatched:
            try:
                yield Histograms(at, weights, learner.gradients(data.train))
                return
            except ExpError as error:
                unwatched = True
                yield Noted(at, f"watch=true: weights alone: {error.problem}")
        yield Histograms(at, weights, {})

    def evaluate() -> Iterator[Event]:
        metrics = learner.evaluate(data.val)
        if not math.isfinite(metrics.loss):
            raise _diverged([metrics.loss], progress.step, "validation", learner.lr)
        improved = progress.evaluated(metrics.loss, plan.min_delta)
        yield Evaluated(batches.position(progress.step), "val", metrics, improved)
        if improved:
            yield snapshot(best=True)
        if plan.watch:
            yield from watched()

    unwatched = False
    if checkpoint is None:
        yield from evaluate()
    lr = learner.lr
    noted = False
    saved = time.monotonic()
    while progress.step < plan.steps and not _is_over(progress, plan):
        first = progress.step + 1
        stop = plan.stop_after(progress.step)
        logged = plan.logged_between(progress.step, stop)
        windows = [b - a for a, b in pairwise([progress.step, *logged])]
        lr = learner.lr
        losses, measured = learner.advance(islice(stream, sum(windows)), windows, batches.rows)
        if learner.step.fallback_reason is not None and not noted:
            noted = True
            yield Noted(batches.position(first - 1), f"engine=eager is in use: {learner.step.fallback_reason}")
        for end, metrics in zip(logged, measured, strict=True):
            if not math.isfinite(metrics.loss_sum):
                raise _diverged(losses, first, "training", lr)
            progress.step = end
            progress.since_log = metrics if progress.since_log is None else progress.since_log + metrics
            if plan.due(plan.log, end):
                yield Trained(batches.position(end), progress.since_log, lr)
                progress.since_log = None
        if plan.due(plan.evaluate, stop):
            yield from evaluate()
        if plan.schedule is not None and stop % plan.schedule == 0:
            learner.schedule(progress.val_loss)
        over = _is_over(progress, plan)
        if over and progress.since_log is not None:
            yield Trained(batches.position(stop), progress.since_log, lr)
            progress.since_log = None
        stopping = stop_requested()
        rested = time.monotonic() - saved >= plan.min_seconds_between_saves or stop == plan.steps
        if (plan.due(plan.save, stop) and rested) or over or stopping:
            yield snapshot(best=False)
            saved = time.monotonic()
        if stopping:
            raise KeyboardInterrupt
    at = batches.position(progress.step)
    if _is_over(progress, plan) and progress.step < plan.steps:
        yield Noted(at, f"stopped early: no better validation loss in {progress.waited} evaluations")
    if (
        checkpoint is not None and checkpoint["progress"]["step"] == progress.step
    ):  # nothing was left but to tell how it ended
        yield Evaluated(at, "val", learner.evaluate(data.val))
    yield Evaluated(at, "train", learner.evaluate(data.train))
    yield Evaluated(at, "test", learner.evaluate(data.test))


def _is_over(progress: TrainingState, plan: Plan) -> bool:
    """Whether validation has not improved for so long that training stops early."""
    return plan.patience is not None and progress.waited >= plan.patience


def _diverged(losses: list[float], first_step: int, which: str, lr: float) -> Diverged:
    """The error that names the first of `losses` that is NaN or infinite; that of losses[0] is `first_step`."""
    index, loss = next((i, loss) for i, loss in enumerate(losses) if not math.isfinite(loss))
    return Diverged(
        f"the {which} loss became {loss} at step {first_step + index}",
        f"a smaller learning rate, optimizer.lr={min(lr / 10, 0.01):.3g}, or clip_grad_norm=1.0",
    )
