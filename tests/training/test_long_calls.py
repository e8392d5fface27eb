"""Calls of many steps and evaluations: code of the user's, and what reads the events, find what short calls give."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps
from torch import Tensor, nn

from exp.config import allowlist
from exp.data.stack import Stack
from exp.engine.step import StepAround, StepOutputs
from exp.results.console import ConsoleSink
from exp.results.summary import SummarySink, read
from exp.training.build import Experiment, build
from exp.training.events import Built, Ending, Event, Snapshot, Trained
from exp.training.loop import Training

# What calls take, as far as the loop sees it: the next one is of all steps, or as short as it can be.
LONG, SHORT = 1e-5, 10.0


@pytest.fixture(autouse=True)
def _own_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("test_long_calls",))


def train(line: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Experiment, Iterable[Event]]:
    times = cycle((0.0, seconds))
    monkeypatch.setattr("exp.training.loop.time.perf_counter", lambda: next(times))
    experiment = build(config_of("dataset=moons", "epochs=10", *line.split()))
    return experiment, list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))


class Plain(nn.Linear):
    pass


class FadingInEvaluations(nn.Linear):
    scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        self.scale *= 1.0 if self.training else 0.9
        return super().forward(x) * self.scale


class FadingInTrain(nn.Linear):
    scale = 1.0

    def train(self, mode: bool = True) -> "FadingInTrain":
        self.scale *= 0.9 if mode and not self.training else 1.0
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


@pytest.mark.parametrize("seconds", [LONG, SHORT])
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Plain, None),
        (
            FadingInEvaluations,
            "scale of FadingInEvaluations changes between steps, which a replayed step would not see",
        ),
        (FadingInTrain, "scale of FadingInTrain changes between steps, which a replayed step would not see"),
    ],
)
def test_steps_see_what_an_evaluation_changes_in_a_model_of_the_users(
    model: type, reason: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch
):
    line = f"model=linear ~model.bias model._target_=test_long_calls.{model.__name__} eval_every=20 log_every=1"
    _, expected = train(f"{line} engine=eager", SHORT, monkeypatch)
    experiment, events = train(f"{line} engine=replay", seconds, monkeypatch)
    assert [step.metrics for step in logged_steps(events)] == [step.metrics for step in logged_steps(expected)]
    assert experiment.learner.step.fallback_reason == reason


def draw(targets: Any, predictions: Any) -> float:
    del targets, predictions
    return float(torch.rand(()))


def test_a_metric_of_the_users_draws_the_same_numbers_in_calls_of_any_length(monkeypatch: pytest.MonkeyPatch):
    line = "model=mlp model.dropout=0.2 eval_every=3 metrics=[test_long_calls.draw]"
    evaluations = (list_evaluations(train(line, seconds, monkeypatch)[1]) for seconds in (LONG, SHORT))
    long, short = ([(one.at.step, one.split, one.values) for one in every] for every in evaluations)
    assert long == short


@pytest.mark.parametrize("engine", ["eager", "replay"])
def test_the_average_of_members_is_that_of_single_steps(engine: str, monkeypatch: pytest.MonkeyPatch):
    line = f"dataset=diabetes model=tabm_small log_every=1 epochs=1 engine={engine}"
    long, short = (logged_steps(train(line, seconds, monkeypatch)[1]) for seconds in (LONG, SHORT))
    assert [step.metrics for step in long] == [step.metrics for step in short]


def test_the_steps_of_a_run_that_was_stopped_are_those_that_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, events = train("log_every=1 eval_every=7", LONG, monkeypatch)
    sink = SummarySink(tmp_path, {})
    for event in events:
        sink.handle(event)
        if isinstance(event, Trained) and event.evaluated:
            break
    sink.close(Ending("interrupted"))
    assert read(tmp_path)["steps"] == event.at.step[-1] > event.evaluated[-1].at.step


def test_progress_is_that_of_the_latest_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exp.results.terminal.ProgressBar.is_due", lambda _: True)
    _, events = train("log_every=50 eval_every=7", LONG, monkeypatch)
    printed, sink = list[str](), ConsoleSink(tmp_path)
    monkeypatch.setattr(sink, "_print", lambda line: printed.append(line.plain))
    for event in [Built({}, {}, {}, 60, ("accuracy",)), *events]:
        sink.handle(event)
    sink.close(Ending("failed"))
    steps = [int(line.split()[1]) for line in printed if line.startswith("step ")]
    assert steps == sorted(steps)
    assert len({*steps}) > 2


class Clock(StepAround):
    now = 0.0

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        outputs = self.inner(stacks)
        Clock.now += 0.05 * len(torch.cat(outputs.losses))
        return outputs


def test_slow_steps_are_saved_where_it_is_due_in_a_long_logging_window(monkeypatch: pytest.MonkeyPatch):
    for clock in ("monotonic", "perf_counter"):
        monkeypatch.setattr(f"exp.training.loop.time.{clock}", lambda: Clock.now)
    experiment = build(config_of("dataset=moons", "epochs=10", "log_every=200", "eval_every=200"))
    learner = replace(experiment.learner, step=Clock(experiment.learner.step))
    events = list(Training(learner, experiment.batches, experiment.data, experiment.plan))
    saved = [event.at.step for event in events if isinstance(event, Snapshot) and not event.best]
    assert saved == [60, 120, 180, 240, 300, 360, 420, 480, 540, 600]
