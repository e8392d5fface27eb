"""compile=true: the steps of torch.compile have the losses of eager ones, up to rounding, and resume to the bit."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config_of, logged_steps

from exp.engine.compiled_forward import CompiledForward
from exp.errors import ConfigError
from exp.training.build import Experiment, build
from exp.training.events import Noted, Snapshot
from exp.training.loop import Training
from exp.training.reuse import JobCache

LINE = "dataset=iris optimizer=adam model.dropout=0.3 batching.batch_size=40 epochs=5 log_every=1 save_every=4"


def events_of(experiment: Experiment, checkpoint: Any = None) -> list[Any]:
    return list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan, checkpoint))


def losses_of(events: list[Any]) -> list[float]:
    return [step.metrics.loss for step in logged_steps(events)]


def notes_of(events: list[Any]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noted)]


@pytest.mark.slow
def test_the_losses_are_the_eager_ones_within_the_bound():
    """One model for three runs, as in a sweep: compiled once for each number of rows, with the same random numbers."""
    eager = losses_of(events_of(build(config_of(*LINE.split(), "engine=eager"))))
    cache = JobCache()
    first = events_of(build(config_of(*LINE.split(), "compile=true"), cache))
    assert losses_of(first) == pytest.approx(eager, rel=1e-5)
    rows = [note.split(" took ")[0] for note in notes_of(first)]
    assert rows == [f"compile=true: compiling the step for {count} rows" for count in (40, 10)]
    second = events_of(build(config_of(*LINE.split(), "compile=true"), cache))
    assert losses_of(second) == losses_of(first)
    assert notes_of(second) == []
    for event in Training(*parts(build(config_of(*LINE.split(), "compile=true"), cache))):
        if isinstance(event, Snapshot) and not event.best and event.at.step == 8:
            state = copy.deepcopy(event.state)
            break
    resumed = events_of(build(config_of(*LINE.split(), "compile=true")), state)
    assert losses_of(resumed) == losses_of(first)[8:]


def parts(experiment: Experiment) -> tuple[Any, ...]:
    return experiment.learner, experiment.batches, experiment.data, experiment.plan


@pytest.mark.slow
def test_a_run_says_what_compiling_cost(exp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path):
    done = exp("dataset=iris", "compile=true", "batching=full", "epochs=2", "figures=false", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert "differs from that of an eager one by up to 0.001 %" in done.stdout
    assert "compiling the step for 90 rows took" in done.stdout + done.stderr
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert "torch.compile" in summary["described"]["compile"]


@pytest.mark.slow
def test_without_a_compiler_the_error_has_the_cure(exp: Callable[..., subprocess.CompletedProcess[str]]):
    nowhere = {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": "cache"}
    done = exp("dataset=iris", "compile=true", "batching=full", "epochs=2", "figures=false", **nowhere)
    assert done.returncode == 1
    assert "compile=true: torch.compile failed: InvalidCxxCompiler" in done.stderr
    assert "try: a C++ compiler such as g++, or compile=false" in done.stderr


@pytest.mark.slow
def test_a_gpu_without_memory_is_no_error_of_the_compiler():
    compiled = CompiledForward(lambda x, y: (x, y))
    with pytest.raises(torch.OutOfMemoryError), compiled.compiling(3):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(ConfigError, match=r"torch.compile failed: no C"), compiled.compiling(3):
        raise RuntimeError("no C++ compiler")


def test_a_step_is_not_both_replayed_and_compiled():
    with pytest.raises(ConfigError, match="engine=replay compile=true: both say how the steps are made"):
        build(config_of("engine=replay", "compile=true"))
