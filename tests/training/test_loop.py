"""The training loop: what is due at which step, when it stops, what a scheduler receives."""

import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, chain, count, cycle, pairwise, repeat
from typing import Any

import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps
from hypothesis import given
from hypothesis.strategies import integers, lists
from torch import Tensor, nn

from exp.config import allowlist
from exp.errors import ConfigError, Diverged, ExpError
from exp.results.checkpoints import checksum
from exp.training.build import build
from exp.training.events import Event, Snapshot, Trained
from exp.training.loop import Training
from exp.training.plan import Plan


def events_of(*overrides: str) -> list[Event]:
    experiment = build(config_of("dataset=moons", *overrides))
    return list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))


def val_losses(events: list[Event]) -> list[tuple[int, float]]:
    evaluated = (event for event in list_evaluations(events) if not event.restored)
    return [(event.at.step, event.metrics.loss) for event in evaluated if event.split == "val"]


def test_training_stops_after_patience_evaluations_without_a_better_loss():
    events = events_of("optimizer.lr=5", "epochs=40", "early_stopping.patience=3")
    losses = [loss for _, loss in val_losses(events)]
    best = losses.index(min(losses))
    assert len(losses) < 41
    assert len(losses) - 1 - best == 3
    # The final state is saved and evaluated once.
    last = [e.at.step for e in events if isinstance(e, Snapshot) and not e.best]
    assert last.count(val_losses(events)[-1][0]) == 1
    assert [e.split for e in list_evaluations(events)][-2:] == ["train", "test"]


def test_min_delta_needs_a_larger_improvement():
    long = events_of("epochs=30", "early_stopping.patience=2")
    short = events_of("epochs=30", "early_stopping.patience=2", "early_stopping.min_delta=0.05")
    assert len(val_losses(short)) < len(val_losses(long)) == 31


def test_a_plateau_schedule_receives_every_validation_loss_once():
    line = ["optimizer.lr=5", "epochs=12", "scheduler=plateau", "scheduler.patience=1", "log_every=1epoch"]
    events = events_of(*line, "eval_every=2epochs")
    losses = [loss for step, loss in val_losses(events) if step > 0]
    rates = [step.lr for step in logged_steps(events)]
    # The rule of ReduceLROnPlateau: times 0.1 after more than one loss in a row that is not lower by 1e-4 (relative).
    lr, best, bad, expected = 5.0, float("inf"), 0, []
    for loss in losses:
        expected += [lr, lr]
        best, bad = (loss, 0) if loss < best * (1 - 1e-4) else (best, bad + 1)
        if bad > 1:
            lr, bad = lr * 0.1, 0
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("every", ["step", "epoch"])
def test_a_cosine_schedule_spans_the_run_in_steps_or_epochs(every: str):
    line = ["epochs=4", "scheduler=cosine", f"scheduler.every={every}", "optimizer.lr=0.1", "log_every=1"]
    rates = [step.lr for step in logged_steps(events_of(*line))]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 0.1
    assert rates[-1] < (1e-4 if every == "step" else 0.02)


@pytest.mark.parametrize("engine", ["eager", "replay"])
@pytest.mark.parametrize(
    "line",
    [
        "dataset=moons log_every=1 eval_every=7epochs",
        "dataset=moons log_every=30 eval_every=7 early_stopping.restore_best=true",
        "dataset=moons log_every=300 eval_every=50 metric=accuracy",
        "dataset=moons log_every=2 eval_every=1 save_every=3epochs ema=0.9 metric=accuracy early_stopping.on_tie=last",
        "dataset=diabetes log_every=3 eval_every=2 metrics=[mae]",
        "dataset=iris log_every=4 eval_every=3 loss.class_weights=balanced metrics=[auc] scheduler=plateau",
    ],
)
def test_the_number_of_steps_per_call_changes_no_result(line: str, engine: str, monkeypatch: pytest.MonkeyPatch):
    def train(seconds_of_calls: Iterator[float]) -> tuple[list[int], list[object]]:
        times = accumulate(chain.from_iterable((0.0, seconds) for seconds in seconds_of_calls))
        monkeypatch.setattr("exp.training.loop.time.perf_counter", lambda: next(times))
        experiment = build(config_of(*line.split(), "epochs=12", "model=mlp", "model.dropout=0.2", f"engine={engine}"))
        sizes, best, events = list[int](), dict[str, Any](), list[Event]()
        for event in Training(experiment.learner, experiment.batches, experiment.data, experiment.plan):
            events.append(event)
            if isinstance(event, Snapshot) and event.best:
                best = {"step": event.at.step, "state": checksum(event.state)}
            if isinstance(event, Trained):
                sizes.append(len(event.evaluated))
        steps = [(step.at, step.metrics, step.lr) for step in logged_steps(events)]
        ends = [(one.at, one.split, one.metrics, one.best, one.restored) for one in list_evaluations(events)]
        return sizes, [steps, ends, best, checksum(experiment.learner.get_state())]

    rng = random.Random(0)
    sizes, expected = train(repeat(10.0))  # of the shortest calls
    assert not any(sizes)
    assert train(10 ** rng.uniform(-5, 1) for _ in count())[1] == expected
    sizes, results = train(repeat(1e-5))
    assert results == expected
    assert max(sizes) > 1 or "plateau" in line or "300" in line or "7epochs" in line


class FailingLater(nn.Linear):
    """Fails in evaluation mode, once it has a large weight."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training and float(self.weight.abs().max()) > 2:
            raise ValueError("large")
        return super().forward(x)


def fail_later(targets: Any, predictions: Any) -> float:
    del targets
    assert predictions[0, 0] < 0.9
    return 0.0


def undefined_later(targets: Any, predictions: Any) -> float | None:
    del targets
    return None if predictions[0, 0] > 0.9 else 0.0


undefined_later.higher_is_better = True


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("dataset=diabetes model=linear optimizer.lr=1 eval_every=8 epochs=500", "the training loss became"),
        ("dataset=diabetes model=linear optimizer.lr=1 eval_every=1 epochs=500", "the validation loss became"),
        (
            "dataset=moons optimizer.lr=0.1 model=linear",
            "FailingLater failed on 200 rows of 2 features: ValueError: large",
        ),
        ("dataset=moons optimizer.lr=0.5 metrics=[test_loop.fail_later]", "metrics: test_loop.fail_later failed"),
        ("dataset=moons optimizer.lr=0.5 metric=test_loop.undefined_later", "it returned NaN or None"),
    ],
)
def test_what_was_done_before_an_error_is_yielded_before_it(line: str, problem: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("test_loop",))

    def train(seconds: float) -> list[object]:
        times = cycle((0.0, seconds))
        monkeypatch.setattr("exp.training.loop.time.perf_counter", lambda: next(times))
        experiment = build(config_of("eval_every=3", "log_every=2", "epochs=40", "engine=eager", *line.split()))
        if "FailingLater" in problem:
            experiment.model.__class__ = FailingLater
        events: list[Event] = []
        training = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
        with pytest.raises(ExpError, match=problem) as raised:
            deque(map(events.append, training))
        steps = [(step.at, step.metrics, step.lr) for step in logged_steps(events)]
        ends = [(one.at, one.split, one.metrics, one.best) for one in list_evaluations(events)]
        assert steps
        assert len(ends) > 1
        return [str(raised.value), steps, ends]

    assert train(1e-4) == train(10.0)


class FailingInTraining(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if self.training and float(self.weight.detach().abs().max()) > 2:
            raise ValueError("large")
        return super().forward(x)


def test_evaluations_before_a_step_that_fails_are_yielded(monkeypatch: pytest.MonkeyPatch):
    def train(seconds: float) -> list[object]:
        times = cycle((0.0, seconds))
        monkeypatch.setattr("exp.training.loop.time.perf_counter", lambda: next(times))
        line = "dataset=moons optimizer.lr=0.1 model=linear eval_every=3 log_every=2 epochs=40 engine=eager"
        experiment = build(config_of(*line.split()))
        experiment.model.__class__ = FailingInTraining
        events, best = list[Event](), list[object]()

        def keep(event: Event) -> None:
            events.append(event)
            if isinstance(event, Snapshot):  # its parameters change with the next step
                best.append((event.at, checksum(event.state["model"])))

        training = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
        with pytest.raises(ExpError, match="large"):
            deque(map(keep, training))
        evaluated = [(one.at, one.split, one.metrics, one.best) for one in list_evaluations(events)]
        assert len(evaluated) > 5
        return [evaluated, best[-1]]

    assert train(1e-4) == train(10.0)


def test_everything_is_due_at_the_last_step():
    plan = Plan(steps=10, log=4, evaluate=10, save=3, schedule=5)
    stops, step = [], 0
    while step < plan.steps:
        step = plan.next_pause(step, 1000)
        stops.append(step)
    assert stops == [3, 5, 6, 9, 10]
    assert plan.cuts(3, 9) == [4, 6, 8, 9]
    assert plan.cuts(4, 8) == [6, 8]
    assert plan.next_pause(0, 1000, save_from=4) == 5
    assert plan.is_due(4, 10)


@given(log=integers(1, 400), memory=integers(1, 1100), wanted=lists(integers(0, 2000), min_size=1))
def test_long_and_short_calls_cut_logging_windows_at_the_same_steps(log: int, memory: int, wanted: list[int]):
    plan = Plan(steps=3000, log=log, evaluate=1050, save=900, max_steps_per_call=memory)

    def cuts(wanted: Iterator[int]) -> list[int]:
        stops = [0]
        while stops[-1] < plan.steps:
            stops.append(plan.next_pause(stops[-1], next(wanted)))
            assert 0 < stops[-1] - stops[-2] <= memory
        assert {900, 1050, 1800, 2100, 2700, 3000} <= {*stops}
        return [stop for stop in stops if stop % log]

    assert cuts(cycle(wanted)) == cuts(repeat(1))


class Slow(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02)
        return super().forward(x)


class SlowToEvaluate(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0 if self.training else 0.05)
        return super().forward(x)


@pytest.mark.parametrize(("model", "every"), [(Slow, "9 epochs"), (SlowToEvaluate, "9")])
def test_slow_steps_and_evaluations_do_not_delay_a_stop_request(model: type[nn.Linear], every: str):
    line = ["dataset=moons", "model=linear", "engine=eager", "epochs=90", f"eval_every={every}", "log_every=1"]
    experiment = build(config_of(*line))
    experiment.model.__class__ = model
    asked: list[float] = []

    def stop_requested() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 10

    with pytest.raises(KeyboardInterrupt):
        list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan, None, stop_requested))
    assert max(later - sooner for sooner, later in pairwise(asked)) < 1


class Squeezing(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze(1)


def test_outputs_of_the_wrong_shape_are_refused_before_the_first_step():
    experiment = build(config_of("dataset=diabetes", "model=linear"))
    experiment.model.__class__ = Squeezing
    with pytest.raises(ConfigError, match=r"have shape \[88\], but the loss needs \[88, 1\]"):
        next(iter(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)))


class Failing(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.zeros(3, 3)


class Normed(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(super().forward(x), None, None, training=True)


class Large(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(len(x), 2**56)


@pytest.mark.parametrize(
    ("model", "message", "fix"),
    [
        (
            Large,
            r"model: Large failed on 30 rows of 4 features: .*allocate memory",
            "fewer rows at once (batching.batch_size, dataset.split), fewer classes, or a smaller model",
        ),
        (Failing, r"model: Failing failed on 30 rows of 4 features: (mm: )?mat1 and mat2", "another model"),
        (
            Normed,
            r"model: Normed failed in a training step: Expected more than 1 value per channel",
            "batching.drop_last=true, with a batching.batch_size of at least 2",
        ),
    ],
)
def test_an_error_in_the_model_names_the_model(model: type[nn.Linear], message: str, fix: str):
    experiment = build(config_of("dataset=iris", "model=linear", "batching.batch_size=89", "engine=eager"))
    experiment.model.__class__ = model
    with pytest.raises(ConfigError, match=message) as caught:
        list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    assert caught.value.fix == fix


@pytest.mark.parametrize("option", ["adam", "adamw", "nadam", "adamax", "rmsprop", "adagrad", "adadelta"])
def test_a_division_by_gradients_of_zero_is_named(option: str):
    def train(*overrides: str) -> None:
        experiment = build(config_of("dataset=iris", f"optimizer={option}", "epochs=1", *overrides))
        list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))

    with pytest.raises(Diverged) as raised:
        train("optimizer.eps=0")
    first, _, others = raised.value.fix.partition(", or ")
    assert others.startswith("a smaller learning rate, ")
    train(first)


def test_rows_are_predicted_in_parts(monkeypatch: pytest.MonkeyPatch):
    experiment = build(config_of("dataset=iris", "model=mlp"))
    learner, x = experiment.learner, experiment.data.train.x
    whole = learner.predict(x)
    monkeypatch.setattr("exp.training.learner.rows_per_pass", lambda _: 7)
    in_parts = learner.predict(x)
    assert in_parts.shape == whole.shape
    assert torch.equal(in_parts, torch.cat([learner.predict(part) for part in x.split(7)]))
    assert learner.predict(x[:0]).shape == (0, 3)
    short = replace(learner, model=FirstRow())
    assert short.predict(x).shape == (-(-len(x) // 7), 4)  # callers compare it with the number of rows


class FirstRow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:1]
