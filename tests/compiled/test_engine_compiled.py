"""engine=compiled: a run whose steps are compiled, resumed or not, and one that falls back to replay."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compiling import optimization, own_cache
from conftest import config_of
from torch import Tensor, nn

from exp.compiled.compiled_step import CompiledStep
from exp.compiled.uncompilable import Uncompilable
from exp.engine.replay import ReplayStep
from exp.errors import ConfigError
from exp.training.build import Experiment, build
from exp.training.events import Event, Noted, Snapshot
from exp.training.loop import Training
from exp.training.reuse import JobCache

__all__ = ["optimization"]  # a fixture

SMALL = ("dataset=moons", "dataset.n_samples=150", "batching.batch_size=16", "epochs=6")


@pytest.fixture(autouse=True)
def cache() -> Iterator[None]:
    with own_cache():
        yield


def train(*overrides: str, jobs: JobCache | None = None, checkpoint: Any = None) -> tuple[Experiment, list[Event]]:
    experiment = build(config_of(*SMALL, *overrides), jobs)
    training = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan, checkpoint)
    events: list[Event] = []
    for event in training:
        if isinstance(event, Snapshot) and not event.best:
            event = Snapshot(event.at, copy_of(event.state), event.best)
        events.append(event)
    return experiment, events


def copy_of(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: copy_of(value) for key, value in state.items()}
    return [copy_of(value) for value in state] if isinstance(state, list) else state


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noted) and "engine=" in event.text]


def parameters(experiment: Experiment) -> Tensor:
    return torch.cat([one.detach().flatten() for one in experiment.model.parameters()])


@pytest.mark.parametrize(
    "overrides",
    [("optimizer=sgd",), ("optimizer=adamw", "model.dropout=0.2"), ("optimizer=sgd", "optimizer.momentum=0.9")],
    ids=["sgd", "adamw and dropout", "momentum"],
)
def test_a_compiled_run_is_near_the_replayed_one(overrides: tuple[str, ...]):
    compiled, events = train("engine=compiled", *overrides)
    replayed, _ = train("engine=replay", *overrides)
    torch.testing.assert_close(parameters(compiled), parameters(replayed), rtol=1e-3, atol=1e-4)
    assert all(note.startswith("engine=compiled: compiling the step for ") for note in notes(events))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_resumed_run_repeats_every_bit(optimizer: str):
    overrides = ("engine=compiled", f"optimizer={optimizer}", "model.dropout=0.2", "save_every=13steps")
    whole, events = train(*overrides)
    snapshots = [event for event in events if isinstance(event, Snapshot) and not event.best]
    (middle, *_) = [one for one in snapshots if one.at.step < whole.plan.steps]
    resumed, _ = train(*overrides, checkpoint=middle.state)
    assert torch.equal(parameters(whole), parameters(resumed))


def test_a_job_of_a_sweep_is_the_run_alone():
    jobs = JobCache()
    for lr in (0.1, 0.3):
        overrides = ("engine=compiled", "optimizer=sgd", f"optimizer.lr={lr}")
        job, events = train(*overrides, jobs=jobs)
        alone, _ = train(*overrides)
        assert torch.equal(parameters(job), parameters(alone))
        assert lr == 0.1 or not notes(events)  # nothing is compiled for the second job


def test_a_step_that_cannot_be_compiled_is_replayed():
    compiled, events = train("engine=compiled", "optimizer=nadam")
    replayed, _ = train("engine=replay", "optimizer=nadam")
    assert notes(events) == ["engine=replay is in use: the update of NAdam with these options is not compiled"]
    assert torch.equal(parameters(compiled), parameters(replayed))
    assert compiled.learner.step.fallback_reason is None


class Counting(nn.Linear):
    calls = 0

    def forward(self, input: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(input)


class Drawing(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        random.random()
        return super().forward(input) * float(np.random.rand())


@pytest.mark.parametrize(
    ("layer", "reason"), [(Counting, "each step changes calls of Counting"), (Drawing, "the state of random")]
)
def test_a_model_with_state_of_its_own_is_not_changed_by_recording(layer: Callable[..., nn.Module], reason: str):
    from exp.compiled.compile_step import record_step
    from exp.engine.step import EagerStep

    model = layer(3, 2)
    eager = EagerStep(model, nn.MSELoss(), torch.optim.SGD(model.parameters()))
    before = random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(Uncompilable, match=reason):
        record_step(eager, torch.randn(4, 3), torch.randn(4, 2))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert getattr(model, "calls", 0) == 0


def test_a_step_that_becomes_wrong_is_found_at_the_next_save(monkeypatch: pytest.MonkeyPatch):
    reports = iter([None, "its update differs"])
    monkeypatch.setattr("exp.compiled.compiled_step.find_difference", lambda *_: next(reports))
    experiment, events = train("engine=compiled", "optimizer=sgd", "batching.drop_last=true", "save_every=20steps")
    assert notes(events)[-1] == "engine=replay is in use: its update differs"
    assert experiment.learner.step.fallback_reason is None


def test_what_makes_the_steps():
    assert isinstance(build(config_of(*SMALL, "engine=compiled")).learner.step, CompiledStep)
    assert isinstance(build(config_of(*SMALL, "engine=replay")).learner.step, ReplayStep)
    with pytest.raises(ConfigError, match="engine=compiled compile=true: a step is replayed or compiled, not both"):
        build(config_of(*SMALL, "engine=compiled", "compile=true"))


@pytest.mark.slow  # the page on compiled steps shows it too
def test_a_run_says_that_it_is_compiled(exp: Callable[..., Any], tmp_path: Path):
    done = exp("dataset=xor", "epochs=3", "engine=compiled", "figures=false", EXP_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert "an update differs from that of an eager step by up to 0.001 % of the largest one" in done.stdout
    assert "engine=compiled: compiling the step for 4 rows took" in done.stdout
