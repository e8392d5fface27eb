"""engine=compiled: a run whose steps are compiled, resumed or not, and one that falls back to replay."""

import csv
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from compiling import optimization, own_cache
from conftest import config_of
from torch import Tensor

from exp.compiled.compiled_step import CompiledStep
from exp.compiled.self_check import make_checked_step
from exp.config.run_spec import RunSpec
from exp.engine.replay import ReplayStep
from exp.errors import ConfigError
from exp.training.build import Experiment, build
from exp.training.description import describe
from exp.training.events import Event, Noted, Snapshot, Trained
from exp.training.loop import Training
from exp.training.reuse import JobCache

__all__ = ["optimization"]  # a fixture

NADAM = "the optimizer NAdam is not compiled; SGD, Adam, AdamW, RMSprop and Adagrad are"
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
    [
        ("optimizer=sgd",),
        ("optimizer=adamw", "model.dropout=0.2"),
        pytest.param(("optimizer=sgd", "optimizer.momentum=0.9"), marks=pytest.mark.slow),
    ],
    ids=["sgd", "adamw and dropout", "momentum"],
)
def test_a_compiled_run_is_near_the_replayed_one(overrides: tuple[str, ...]):
    compiled, events = train("engine=compiled", *overrides)
    replayed, _ = train("engine=replay", *overrides)
    torch.testing.assert_close(parameters(compiled), parameters(replayed), rtol=1e-3, atol=1e-4)
    assert all(note.startswith("engine=compiled: compiling the step for ") for note in notes(events))


@pytest.mark.parametrize("optimizer", [pytest.param("sgd", marks=pytest.mark.slow), "adamw"])
def test_a_resumed_run_repeats_every_bit(optimizer: str):
    overrides = ("engine=compiled", f"optimizer={optimizer}", "model.dropout=0.2", "save_every=13steps")
    whole, events = train(*overrides)
    snapshots = [event for event in events if isinstance(event, Snapshot) and not event.best]
    (middle, *_) = [one for one in snapshots if one.at.step < whole.plan.steps]
    resumed, _ = train(*overrides, checkpoint=middle.state)
    assert torch.equal(parameters(whole), parameters(resumed))


def test_a_job_of_a_sweep_is_the_run_alone():
    """Also after jobs whose optimizer is not compiled, or has the parameters in another order."""
    jobs, printed = JobCache(), list[list[str]]()
    for words in ("nadam", "sgd optimizer.lr=0.1", "sgd optimizer.lr=0.3", "sgd optimizer.lr_factors={bias:0.1}"):
        overrides = ("engine=compiled", *f"optimizer={words}".split())
        job, events = train(*overrides, jobs=jobs)
        alone, _ = train(*overrides)
        assert torch.equal(parameters(job), parameters(alone)), words
        printed.append(notes(events))
    assert printed[0] == [f"engine=replay is in use: {NADAM}"]
    assert printed[2] == []  # nothing is compiled for a job with another learning rate
    assert all(note.startswith("engine=compiled: compiling") for notes in printed[1:] for note in notes)


@pytest.mark.parametrize(
    ("overrides", "engine"),
    [
        (("engine=compiled", "optimizer=sgd"), "compiled"),
        (("engine=compiled", "optimizer=nadam"), "replay"),
        pytest.param(("engine=compiled", "optimizer=lbfgs"), "eager", marks=pytest.mark.slow),
        (("engine=compiled", "precision=fp16"), "eager"),
        pytest.param(("engine=compiled", "optimizer=sgd", "ema=0.9"), "compiled", marks=pytest.mark.slow),
        (("engine=replay", "optimizer=sgd"), "replay"),
        pytest.param(("engine=replay", "optimizer=lbfgs"), "eager", marks=pytest.mark.slow),
        (("engine=eager", "optimizer=sgd"), "eager"),
    ],
)
def test_a_run_tells_which_engine_was_used(overrides: tuple[str, ...], engine: str):
    _, events = train(*overrides)
    assert [event.engine for event in events if isinstance(event, Trained)][-1] == engine


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("optimizer=nadam", NADAM),
        pytest.param("optimizer=lbfgs", "LBFGS computes gradients several times a step", marks=pytest.mark.slow),
        pytest.param("precision=bf16", "mixed precision is not compiled: precision=fp32 is", marks=pytest.mark.slow),
        ("precision=fp16", "precision=fp16 reads in each step whether the gradients are finite"),
        ("batching.accumulate=2", "batching.accumulate is not compiled"),
        ("optimizer=adam", None),
    ],
)
def test_the_first_lines_tell_that_nothing_will_be_compiled(override: str, reason: str | None):
    experiment, events = train("engine=compiled", override)
    choices = dict.fromkeys(("dataset", "model", "loss", "optimizer"), "chosen")
    line = describe(RunSpec(experiment.config, Path(), "", choices, []), experiment).lines["engine"]
    assert line.rpartition("nothing is compiled: ")[2] == (reason or line)
    engine = [event.engine for event in events if isinstance(event, Trained)][-1]
    assert (engine == "compiled") == (reason is None)


def test_a_step_that_cannot_be_compiled_is_replayed():
    compiled, events = train("engine=compiled", "optimizer=nadam")
    replayed, _ = train("engine=replay", "optimizer=nadam")
    assert notes(events) == [f"engine=replay is in use: {NADAM}"]
    assert torch.equal(parameters(compiled), parameters(replayed))
    assert compiled.learner.step.fallback_reason is None


def test_what_makes_the_steps():
    assert isinstance(build(config_of(*SMALL, "engine=compiled")).learner.step, CompiledStep)
    assert isinstance(build(config_of(*SMALL, "engine=replay")).learner.step, ReplayStep)
    with pytest.raises(ConfigError, match="engine=compiled compile=true: both say how the steps are made"):
        config_of(*SMALL, "engine=compiled", "compile=true")  # before anything is written


@pytest.mark.slow  # the page on compiled steps shows it too
def test_a_run_says_that_it_is_compiled(exp: Callable[..., Any], tmp_path: Path):
    done = exp("dataset=xor", "epochs=30", "engine=compiled", "figures=false", EXP_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert "an update differs from that of an eager step by up to 0.001 % of the largest one" in done.stdout
    assert "engine=compiled: compiling the step for 4 rows took" in done.stdout


def test_the_outcome_does_not_depend_on_when_it_is_saved():
    often, _ = train("engine=compiled", "optimizer=adam", "save_every=1steps")
    once, _ = train("engine=compiled", "optimizer=adam", "save_every=1000steps")
    assert torch.equal(parameters(often), parameters(once))


def test_a_resumed_run_goes_on_with_the_engine_that_trained():
    """A check that fails is part of the checkpoint: the resumed run does not compile again."""
    overrides = ("engine=compiled", "optimizer=adam", "batching.drop_last=true", "epochs=20", "save_every=20steps")
    with pytest.MonkeyPatch.context() as patch:
        fail_at_check(patch, 2)
        whole, events = train(*overrides)
    assert notes(events)[-1] == "engine=replay is in use: its update differs (since step 64)"
    replayed = [event for event in events if isinstance(event, Snapshot) and not event.best and event.at.step > 64]
    resumed, after = train(*overrides, checkpoint=replayed[0].state)
    since = "since step 64, before the run was resumed; a new run with init=FOLDER tries again"
    assert notes(after) == [f"engine=replay is in use: its update differs ({since})"]
    assert torch.equal(parameters(whole), parameters(resumed))


def fail_at_check(patch: pytest.MonkeyPatch, failing: int) -> None:
    """Let one of the checks find a difference."""
    numbers = count(1)

    def check(*arguments: Any) -> Any:
        outputs, difference = make_checked_step(*arguments)
        return outputs, "its update differs" if next(numbers) == failing else difference

    patch.setattr("exp.compiled.compiled_step.make_checked_step", check)


def test_an_error_inside_the_compiler_is_named(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any) -> None:
        raise RuntimeError("of a\nkind")

    monkeypatch.setattr("exp.compiled.compile_step.lower", fail)
    compiled, events = train("engine=compiled", "optimizer=sgd")
    replayed, _ = train("engine=replay", "optimizer=sgd")
    assert notes(events) == ["engine=replay is in use: compiling failed: RuntimeError: of a"]
    assert torch.equal(parameters(compiled), parameters(replayed))


@pytest.mark.slow  # tests/compiled/test_compiled_steps.py compares single steps
def test_runs_with_weights_are_near_the_eager_ones(tmp_path: Path):
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 120)).round(4)
    ill = np.where(a + b + draw.normal(size=120) > 1, "yes", "no")
    pd.DataFrame({"a": a, "b": b, "ill": ill, "w": draw.choice([0.5, 1, 2, 7.25], 120)}).to_csv(
        tmp_path / "ill.csv", index=False
    )
    rows = f"dataset=table dataset.path={tmp_path}/ill.csv dataset.target=ill dataset.weight=w batching.batch_size=16"
    for words in (
        [*SMALL, "loss.class_weights=[1,20]"],
        [*rows.split(), "epochs=6"],
        [*rows.split(), "epochs=6", "loss=bce_with_logits", "loss.class_weights=balanced"],
    ):
        found: list[Tensor] = []
        for engine in ("compiled", "eager"):
            experiment = build(config_of(*words, "optimizer=sgd", f"engine={engine}"))
            events = list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
            assert not any("is in use" in note for note in notes(events))
            found.append(parameters(experiment))
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_workers_of_a_sweep_do_not_change_its_table(exp: Callable[..., Any], tmp_path: Path):
    words = [*SMALL, "engine=compiled", "optimizer=adam", "optimizer.lr=0.01,0.1", "seed=0,1", "figures=false"]
    tables: list[list[dict[str, str]]] = []
    for workers in (0, 1, 2):
        folder = tmp_path / f"sweep{workers}"
        done = exp("-m", *words, f"sweep.workers={workers}", f"hydra.sweep.dir={folder}")
        assert done.returncode == 0, done.stderr
        with (folder / "sweep.csv").open() as file:
            tables.append([{key: row[key] for key in row if "seconds" not in key} for row in csv.DictReader(file)])
    assert len(tables[0]) == 4
    assert tables[0] == tables[1] == tables[2]
