"""The training loop, as a generator of events. It accesses no files and no config."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from exp.config.metric_names import is_higher_better
from exp.data.batches import Batches, Position
from exp.data.seeding import get_global_streams, set_global_streams
from exp.data.splits import Splits
from exp.engine.tensor_state import copy_tensors, get_random_state, set_random_state
from exp.errors import ExpError, pluralize
from exp.training.divergence import training_diverged, undefined_metric, validation_diverged
from exp.training.events import Evaluated, Event, Noted, Resumed, Snapshot, State, Trained
from exp.training.learner import Learner
from exp.training.metrics import Column, MetricSums
from exp.training.plan import Plan
from exp.training.save_times import SaveTimes
from exp.training.state import TrainingState
from exp.training.validation import Validation
from exp.training.watched import Watched

# What a call is to take: so long that it costs little besides its steps, so short that no stop request has to wait.
_SECONDS_PER_CALL = 0.1


class Training:
    """Trains `learner` while it is iterated over, and yields the events.

    They begin with the evaluation before the first step, and end with those after the last one.

    Args:
        checkpoint: The state of a snapshot to resume from.
        stop_requested: Called after each call of many steps. Once it returns True, the last event is a snapshot.

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
        self._validation = Validation(learner, data.val)
        self._lr = learner.lr  # of the latest update
        self._saves, self._watched = SaveTimes(plan), Watched(learner, data.train)
        self._noted = 0  # notes of the step
        self._steps_per_call, self._seconds_per_evaluation = 1, 0.0  # as long as nothing is known of their time

    def __iter__(self) -> Iterator[Event]:
        plan = self._plan
        if self._checkpoint is None:
            yield from self._evaluate()
        else:
            yield self._restore(self._checkpoint)
        self._saves.start()
        while self._state.step < plan.steps and not self._is_out_of_patience():
            step, wanted = self._state.step, self._steps_per_call
            stop = plan.next_pause(step, wanted, self._saves.next_from(step, wanted / _SECONDS_PER_CALL))
            yield from self._advance(stop)
            if plan.is_due(plan.evaluate, stop):
                yield from self._evaluate()
            if plan.schedule is not None and stop % plan.schedule == 0:
                self._learner.step_scheduler(self._state.value)
            if self._is_out_of_patience() and (rest := self._state.since_log) is not None:
                self._state.since_log = None
                yield self._logged([self._state.step], rest)
            stopping = self._stop_requested()
            if self._saves.is_due(stop) or self._is_out_of_patience() or stopping:
                yield self._snapshot()
                self._saves.start()
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
        """Train up to step `stop`, with the evaluations that are due before it; yield what was logged and evaluated."""
        start, plan = self._state.step, self._plan
        ends = plan.cuts(start, stop)
        sizes = [b - a for a, b in pairwise([start, *ends])]
        stacks = self._validation.stacks(self._stream, start, plan.due_before(plan.evaluate, start, stop), stop)
        self._lr, began = self._learner.lr, time.perf_counter()
        try:
            losses, sums = self._learner.advance(stacks, sizes, self._batches.rows)
        except ExpError:
            yield from self._report_before_error()
            raise
        seconds = (time.perf_counter() - began) / (stop - start) + self._seconds_per_evaluation / plan.evaluate
        self._steps_per_call = int(_SECONDS_PER_CALL / max(seconds, 1e-6))
        notes = self._learner.step.notes
        yield from (Noted(self._at(), note) for note in notes[self._noted :])
        self._noted = len(notes)
        is_finite = np.isfinite(sums.loss_sum)
        finite = ends if is_finite.all() else ends[: int(is_finite.argmin())]
        if self._state.since_log is not None:
            sums.add_to_first(self._state.since_log)
        sums.add_up(index for index, end in enumerate(finite[:-1]) if not plan.is_due(plan.log, end))
        yield from self._report(finite, sums)
        if len(finite) < len(ends):
            raise training_diverged(self._learner, self._data, losses, start + 1, self._lr)

    def _report(self, ends: Sequence[int], sums: MetricSums[Column]) -> Iterator[Event]:
        """Yield what was logged and evaluated up to the steps `ends`, and the best parameters among them."""
        evaluated, best, error = list[Evaluated](), None, None
        places = {step: place for place, step in enumerate(ends)}
        for step, metrics, parameters in self._validation.take():
            if step not in places:  # the loss of a step before it is no number
                break
            self._reach(step, sums, places[step])
            try:
                evaluated.append(self._record(metrics))
            except ExpError as problem:
                error, ends = problem, ends[: places[step] + 1]
                break
            if evaluated[-1].best:
                best = self._best_snapshot(parameters)
        if ends:
            self._reach(ends[-1], sums, len(ends) - 1)
        logged = [index for index, end in enumerate(ends) if self._plan.is_due(self._plan.log, end)]
        if logged:
            yield self._logged([ends[index] for index in logged], sums[logged], evaluated)
        else:
            yield from evaluated
        if best is not None:
            yield best
        if error is not None:
            raise error

    def _report_before_error(self) -> Iterator[Event]:
        """Yield the evaluations of a call in which a later step failed, and the best parameters among them."""
        for step, metrics, parameters in self._validation.take():
            self._state.step, self._state.since_log = step, None
            yield from self._yield_evaluation(metrics, lambda kept=parameters: kept)

    def _reach(self, step: int, sums: MetricSums[Column], window: int) -> None:
        """Record that `step` was made, the last one of a window of `sums`."""
        self._state.step = step
        self._state.since_log = None if self._plan.is_due(self._plan.log, step) else sums[window : window + 1]

    def _evaluate(self) -> Iterator[Event]:
        """Evaluate the validation rows, if there are any; yield a snapshot too if they are the best so far."""
        if not len(self._data.val):
            return
        began = time.perf_counter()
        metrics = self._learner.evaluate(self._data.val)
        self._seconds_per_evaluation = time.perf_counter() - began
        yield from self._yield_evaluation(metrics, self._learner.get_parameters)
        if self._plan.watch:
            yield from self._watched.histograms(self._at())

    def _record(self, metrics: MetricSums | ExpError) -> Evaluated:
        """Record the metrics of the validation rows, or raise what failed."""
        state, plan = self._state, self._plan
        if isinstance(metrics, ExpError):
            raise metrics
        if not math.isfinite(metrics.loss):
            raise validation_diverged(self._learner, self._data, metrics.loss, state.step)
        value = metrics.values().get(plan.metric)
        if value is None:
            raise undefined_metric(plan.metric, len(self._data.val))
        improved = state.record_validation(value, plan.min_delta, is_higher_better(plan.metric), plan.on_tie)
        return Evaluated(self._at(), "val", metrics, improved)

    def _yield_evaluation(self, metrics: MetricSums | ExpError, parameters: Callable[[], State]) -> Iterator[Event]:
        """Record an evaluation and yield it, and the parameters if they are the best so far."""
        evaluated = self._record(metrics)
        yield evaluated
        if evaluated.best:
            yield self._best_snapshot(parameters())

    def _best_snapshot(self, parameters: State) -> Snapshot:
        """Return the snapshot of the best parameters so far, which are kept if they are to be restored."""
        if self._plan.restore_best:
            self._best = copy_tensors(parameters, self._best)
        return Snapshot(self._at(), {**parameters, **self._describe_progress()}, best=True)

    def _finish(self) -> Iterator[Event]:
        """Yield why training ended early, if it did, and the metrics of the final parameters."""
        self._learner.network.eval()  # a replayed evaluation leaves the mode as it is
        if self._state.step < self._plan.steps:
            waited = pluralize(self._state.waited, "evaluation")
            yield Noted(self._at(), f"stopped early: the validation {self._plan.metric} has not improved in {waited}")
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
        own = get_global_streams() if self._learner.has_user_code else {}  # code of the user's may draw from NumPy's
        state = {
            **self._learner.get_state(),
            **self._describe_progress(),
            "random": get_random_state(self._data.train.device) | own,
            "epoch_began": self._stream.epoch_rng_state,
            **({} if self._best is None else {"best": self._best}),
        }
        return Snapshot(self._at(), state, best=False)

    def _describe_progress(self) -> State:
        """Return what a reader of parameters must know about them."""
        data, preprocessing = self._data.fingerprint, self._preprocessing
        return {"progress": self._state.to_dict(), "data": data, "preprocessing": preprocessing}

    def _is_out_of_patience(self) -> bool:
        """Return whether the metric has not improved for so long that training stops early."""
        return self._plan.patience is not None and self._state.waited >= self._plan.patience

    def _logged(self, steps: Sequence[int], sums: MetricSums[Column], evaluated: Sequence[Evaluated] = ()) -> Trained:
        return Trained(self._batches.positions(steps), sums, self._lr, self._learner.step.engine, evaluated)

    def _at(self) -> Position:
        return self._batches.position(self._state.step)
