"""The training loop, as a generator of events. It accesses no files and no config."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from exp.config.metric_names import is_higher_better
from exp.config.own_metrics import is_own
from exp.data.batches import Batches, Position
from exp.data.far_values import FAR
from exp.data.seeding import get_global_streams, set_global_streams
from exp.data.splits import Splits
from exp.engine.tensor_state import copy_tensors, get_random_state, set_random_state
from exp.errors import ConfigError, Diverged, ExpError, pluralize
from exp.training.check_features import FAR_FIX, describe_far_values
from exp.training.events import Evaluated, Event, Histograms, Noted, Resumed, Snapshot, State, Trained
from exp.training.learner import Learner
from exp.training.metrics import Column, MetricSums
from exp.training.plan import Plan
from exp.training.state import TrainingState

# What a call is to take: so long that what it costs besides its steps does not count, and so short that neither a stop
# request nor the display has to wait.
_SECONDS_PER_CALL = 0.1


class Training:
    """Trains `learner` while it is iterated over, and yields the events.

    They begin with the evaluation before the first step, and end with those after the last one.

    Args:
        checkpoint: The state of a snapshot to resume from.
        stop_requested: Called between chunks of steps. Once it returns True, the last event is a snapshot.

    Raises:
        Diverged: A loss is NaN or infinite; the message names the step.
        KeyboardInterrupt: `stop_requested` returned True.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        data: Splits,
        plan: Plan,
        checkpoint: State | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self._learner, self._batches, self._data, self._plan = learner, batches, data, plan
        self._checkpoint = checkpoint
        self._stop_requested = stop_requested
        self._preprocessing = data.preprocessing.to_json()
        self._state = TrainingState()
        self._best: State | None = None  # the best parameters, if they are to be restored
        self._stream = batches.stream()
        self._lr = learner.lr  # of the latest update
        self._saved_at = 0.0
        self._has_gradients = True  # False once the model has failed to give them for histograms
        self._noted = 0  # notes of the step
        self._steps_per_call = 1  # as long as nothing is known of their time

    def __iter__(self) -> Iterator[Event]:
        plan = self._plan
        if self._checkpoint is None:
            yield from self._evaluate()
        else:
            yield self._restore(self._checkpoint)
        self._saved_at = time.monotonic()
        while self._state.step < plan.steps and not self._is_out_of_patience():
            stop = plan.next_pause(self._state.step, self._steps_per_call)
            yield from self._advance(stop)
            if plan.is_due(plan.evaluate, stop):
                yield from self._evaluate()
            if plan.schedule is not None and stop % plan.schedule == 0:
                self._learner.step_scheduler(self._state.value)
            if self._is_out_of_patience():
                rest, self._state.since_log = self._state.since_log, None
                if rest is not None:
                    yield self._logged([self._state.step], rest)
            stopping = self._stop_requested()
            if self._should_save() or stopping:
                yield self._snapshot()
                self._saved_at = time.monotonic()
            if stopping:
                raise KeyboardInterrupt
        yield from self._finish()

    def _restore(self, checkpoint: State) -> Resumed:
        """Continue from `checkpoint`: learner, state, random streams and batches."""
        self._state = TrainingState.from_dict(checkpoint["progress"])
        self._learner.set_state(checkpoint)
        if self._state.step < self._plan.steps:
            self._learner.check_scheduler()
        self._best = checkpoint.get("best")
        set_random_state(checkpoint["random"], self._data.train.device)
        set_global_streams(checkpoint["random"])
        self._stream = self._batches.stream(self._state.step, checkpoint["epoch_began"])
        return Resumed(self._at(), self._state.best_value, self._state.best_step)

    def _advance(self, stop: int) -> Iterator[Event]:
        """Train up to step `stop`; yield the metrics of each logging window that ends on the way."""
        start = self._state.step
        logged = self._plan.window_ends(start, stop)
        windows = [b - a for a, b in pairwise([start, *logged])]
        self._lr, began = self._learner.lr, time.perf_counter()
        losses, sums = self._learner.advance(self._stream.take(stop - start), windows, self._batches.rows)
        self._steps_per_call = int((stop - start) * _SECONDS_PER_CALL / max(time.perf_counter() - began, 1e-6))
        notes = self._learner.step.notes
        while self._noted < len(notes):
            self._noted += 1
            yield Noted(self._at(), notes[self._noted - 1])
        finite = np.isfinite(sums.loss_sum)
        if not finite.all():
            yield from self._trained(logged[: int(finite.argmin())], sums)
            raise self._diverged(losses, start + 1, "training", self._lr)
        self._state.step = stop
        yield from self._trained(logged if self._plan.is_due(self._plan.log, stop) else logged[:-1], sums)

    def _evaluate(self) -> Iterator[Event]:
        """Evaluate the validation rows, if there are any; yield a snapshot too if they are the best so far."""
        if not len(self._data.val):
            return
        metrics = self._learner.evaluate(self._data.val)
        if not math.isfinite(metrics.loss):
            error = self._diverged([metrics.loss], self._state.step, "validation", self._learner.lr)
            far = describe_far_values(self._data, "val")
            if far:
                robust = {"key": "dataset.scaler", "override": "dataset.scaler=robust"}
                raise Diverged(f"{error.problem}: {far}", FAR_FIX, **robust)
            raise error
        value = metrics.values().get(self._plan.metric)
        if value is None:
            rows = pluralize(len(self._data.val), "validation row")
            what, fix = f"{rows} cannot define it", "dataset.stratify=true, more"
            if is_own(self._plan.metric):
                what, fix = f"it returned NaN or None for {rows}", "other"
            raise ConfigError(
                f"metric={self._plan.metric}: {what}",
                f"{fix} validation rows, or metric=loss",
                key="metric",
                override="metric=loss",
            )
        is_up = is_higher_better(self._plan.metric)
        improved = self._state.record_validation(value, self._plan.min_delta, is_up, self._plan.on_tie)
        yield Evaluated(self._at(), "val", metrics, improved)
        if improved:
            parameters = self._learner.get_parameters()
            if self._plan.restore_best:
                self._best = copy_tensors(parameters, self._best)
            yield Snapshot(self._at(), {**parameters, **self._describe_progress()}, best=True)
        if self._plan.watch:
            yield from self._histograms()

    def _histograms(self) -> Iterator[Event]:
        """Yield weights and gradients, or weights alone if the model gives no gradients in evaluation mode."""
        gradients = dict[str, Tensor]()
        if self._has_gradients:
            try:
                gradients = self._learner.compute_gradients(self._data.train)
            except ExpError as error:
                self._has_gradients = False
                yield Noted(self._at(), f"watch=true: no histograms of gradients: {error.problem}")
        yield Histograms(self._at(), dict(self._learner.model.named_parameters()), gradients)

    def _finish(self) -> Iterator[Event]:
        """Yield why training ended early, if it did, and the metrics of the final parameters."""
        self._learner.network.eval()  # a replayed evaluation leaves the mode as it is
        if self._state.step < self._plan.steps:
            metric, waited = self._plan.metric, self._state.waited
            waited = pluralize(waited, "evaluation")
            yield Noted(self._at(), f"stopped early: the validation {metric} has not improved in {waited}")
        at, restored = self._at(), self._best is not None and self._state.best_step < self._state.step
        resumed_at_end = self._checkpoint is not None and self._checkpoint["progress"]["step"] == self._state.step
        if resumed_at_end and len(self._data.val) and not restored:
            # No step was left to train, so the validation split has not been evaluated yet.
            yield Evaluated(at, "val", self._learner.evaluate(self._data.val))
        if restored:
            yield Noted(at, f"restored the parameters of step {self._state.best_step:,}, {self._plan.best}")
            at = self._batches.position(self._state.best_step)
            self._learner.set_parameters(self._best or {})
            yield Evaluated(at, "val", self._learner.evaluate(self._data.val), restored=True)
        yield Evaluated(at, "train", self._learner.evaluate(self._data.train), restored=restored)
        if len(self._data.test):
            yield Evaluated(at, "test", self._learner.evaluate(self._data.test), restored=restored)

    def _snapshot(self) -> Snapshot:
        """Return all that the rest of the run depends on."""
        state = {
            **self._learner.get_state(),
            **self._describe_progress(),
            "random": self._random_state(),
            "epoch_began": self._stream.epoch_rng_state,
            **({} if self._best is None else {"best": self._best}),
        }
        return Snapshot(self._at(), state, best=False)

    def _describe_progress(self) -> State:
        """Return what a reader of parameters must know about them."""
        data, preprocessing = self._data.fingerprint, self._preprocessing
        return {"progress": self._state.to_dict(), "data": data, "preprocessing": preprocessing}

    def _random_state(self) -> State:
        """Return the states of torch's random streams, and those of NumPy and Python if the user's code may draw."""
        states = get_random_state(self._data.train.device)
        return {**states, **get_global_streams()} if self._learner.has_user_code else states

    def _should_save(self) -> bool:
        """Return whether a save is due, and the last one is long enough ago; always at the end of training."""
        step, plan = self._state.step, self._plan
        waited = time.monotonic() - self._saved_at >= plan.min_seconds_between_saves or step == plan.steps
        return (plan.is_due(plan.save, step) and waited) or self._is_out_of_patience()

    def _is_out_of_patience(self) -> bool:
        """Return whether the metric has not improved for so long that training stops early."""
        return self._plan.patience is not None and self._state.waited >= self._plan.patience

    def _trained(self, ends: Sequence[int], sums: MetricSums[Column]) -> Iterator[Trained]:
        """Yield the metrics of the logging windows that end at the steps `ends`; keep those of a last one for later."""
        if self._state.since_log is not None:
            sums.add_to_first(self._state.since_log)
        is_whole = len(ends) == len(sums.count)
        self._state.since_log = None if is_whole else sums[-1:]
        if ends:
            yield self._logged(ends, sums if is_whole else sums[: len(ends)])

    def _logged(self, steps: Sequence[int], sums: MetricSums[Column]) -> Trained:
        return Trained(self._batches.positions(steps), sums, self._lr, self._learner.step.engine)

    def _at(self) -> Position:
        return self._batches.position(self._state.step)

    def _diverged(self, losses: list[float], first_step: int, kind: str, lr: float) -> Diverged:
        """Return the error that names the first of `losses` that is NaN or infinite; losses[0] is of `first_step`."""
        index, loss = next((i, loss) for i, loss in enumerate(losses) if not math.isfinite(loss))
        divides_by_zero = self._learner.optimizer.defaults.get("eps") == 0  # where a gradient is 0, as of a dead ReLU
        is_large = self._data.preprocessing.scaler is None and float(self._data.train.largest.max()) > FAR
        first = "dataset.scaler=standard, or " if is_large else "optimizer.eps=1e-8, or " if divides_by_zero else ""
        return Diverged(
            f"the {kind} loss became {loss} at step {first_step + index}",
            f"{first}a smaller learning rate, optimizer.lr={min(lr / 10, 0.01):.3g}, or clip_grad_norm=1.0",
        )
