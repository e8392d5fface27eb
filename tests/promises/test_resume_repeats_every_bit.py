"""Promise 3: a resumed run ends like an uninterrupted one, to the bit, wherever it was stopped."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps
from hypothesis import given, settings
from hypothesis import strategies as st

from exp.config import allowlist
from exp.results import checkpoints
from exp.training.build import build
from exp.training.events import Event, Resumed, Snapshot
from exp.training.loop import Training

MODES = ["batching=full", "batching=online", "batching.batch_size=7", "batching.batch_size=7 batching.shuffle=false"]
# Optimizers, schedules and layers with state between steps.
KINDS = [
    "optimizer=adam model.dropout=0.3 scheduler=cosine scheduler.every=step",
    "optimizer.momentum=0.9 scheduler=plateau early_stopping.patience=6 optimizer.lr=0.3",
    "optimizer=rmsprop clip_grad_norm=0.1 scheduler=warmup",
    "optimizer=adamw optimizer.fused=true",
    "optimizer=adagrad model=linear",
    "optimizer.lr=1 early_stopping.restore_best=true early_stopping.patience=5",
    "loss=bce_with_logits loss.class_weights=balanced",
    "loss.class_weights=[1,20]",
    "ema=0.9 model.norm=batch optimizer.lr=1 early_stopping.restore_best=true",
    "model=realmlp model.hidden=[8,8] model.dropout=0.3 model.parametric=true model.embedding=pbld model.init=data "
    "optimizer=adamw optimizer.lr_factors={scale:6} scheduler=coslog scheduler.weight_decay=flat_cosine metric=error "
    "early_stopping.restore_best=true early_stopping.on_tie=last",
    "model=tabm model.hidden=8 model.k=3 model.kind=full model.dropout=0.3 model.embedding=piecewise optimizer=adamw "
    "clip_grad_norm=1 metric=error early_stopping.restore_best=true",
]


def overrides_of(mode: str, kind: str, engine: str) -> list[str]:
    epochs = 30 if mode == "batching=full" else 2 if mode == "batching=online" else 4
    rows = "dataset=moons dataset.n_samples=100 log_every=3 eval_every=1epoch save_every=7"
    return [*rows.split(), *mode.split(), *kind.split(), f"engine={engine}", f"epochs={epochs}", "threads=1"]


def contents(event: Event) -> list[Any]:
    """What must be equal in two runs. How many logged steps an event has depends on how fast they were."""
    evaluated = [(one.at, one.split, one.metrics, one.best) for one in list_evaluations([event])]
    return sorted([*logged_steps([event]), *evaluated], key=lambda one: one[0].step)


def train_run(
    overrides: list[str], checkpoint: dict[str, Any] | None = None
) -> tuple[list[Any], Any, dict[int, dict[str, Any]]]:
    """Return the events, with the step in place of a snapshot; the final state of the learner; and some snapshots."""
    experiment = build(config_of(*overrides))
    events: list[Any] = []
    snapshots: dict[int, dict[str, Any]] = {}
    for event in Training(experiment.learner, experiment.batches, experiment.data, experiment.plan, checkpoint):
        if isinstance(event, Snapshot) and not event.best:
            events.append(event.at.step)
            if checkpoint is None and random.Random(event.at.step).random() < 3 * event.at.step / experiment.plan.steps:
                snapshots[event.at.step] = as_on_disk(event.state)
        elif not isinstance(event, Snapshot | Resumed):
            events.extend(contents(event))
    some = sorted(snapshots)[:: max(1, len(snapshots) // 3)]
    return (
        events,
        experiment.learner.get_state(),
        {step: snapshots[step] for step in some},
    )


def bits(state: Any) -> Any:
    """Tensors as bytes, so that -0. is not 0. and NaN is NaN."""
    if isinstance(state, torch.Tensor):
        return str(state.dtype), tuple(state.shape), state.detach().cpu().contiguous().numpy().tobytes()
    if isinstance(state, dict):
        return {key: bits(value) for key, value in state.items()}
    return [bits(value) for value in state] if isinstance(state, list | tuple) else repr(state)


def as_on_disk(state: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.write(Path(folder) / "last.pt", state)
        return checkpoints.read(Path(folder) / "last.pt")


def assert_every_checkpoint_resumes_to_the_same_end(overrides: list[str]) -> None:
    expected, end, snapshots = train_run(overrides)
    assert snapshots
    for step, state in snapshots.items():
        rest, resumed_end, _ = train_run(overrides, state)
        left = expected[expected.index(step) + 1 :]
        if len(rest) == len(left) + 1 == 3 and rest[0][:2] == (expected[-1][0], "val"):
            rest = rest[1:]  # evaluated again for the final table, because no step was left
        assert rest == left
        assert bits(resumed_end) == bits(end)


ANY_MODE = list(product(MODES, KINDS[:2]))
PAIRS = [*((mode, KINDS[number // 2]) for number, mode in enumerate(MODES)), *product(MODES[2:3], KINDS[2:])]
ENGINES = ["eager", "replay"]


def with_engines(cases: list[Any]) -> list[Any]:
    """Combine the cases with both engines; by default each case is tested with one of them, in turn."""
    return [
        pytest.param(*case, engine, marks=() if (number + place) % 2 else pytest.mark.slow)
        for number, case in enumerate(cases)
        for place, engine in enumerate(ENGINES)
    ]


def also_slow(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case, engine, marks=pytest.mark.slow) for case, engine in product(cases, ENGINES)]


@pytest.mark.parametrize(
    ("mode", "kind", "engine"),
    [*with_engines(PAIRS), *also_slow([pair for pair in ANY_MODE if pair not in PAIRS])],
)
def test_a_run_resumes_from_a_checkpoint_in_any_mode(mode: str, kind: str, engine: str):
    assert_every_checkpoint_resumes_to_the_same_end(overrides_of(mode, kind, engine))


WEIGHTED = ["y", "classes loss=bce_with_logits loss.class_weights=[1,3]"]


@pytest.mark.parametrize(
    ("kind", "engine"),
    [
        ("classes loss.class_weights=balanced", "eager"),
        ("classes loss.class_weights=balanced", "replay"),
        *also_slow([(kind,) for kind in WEIGHTED]),
    ],
)
def test_a_run_with_weighted_rows_resumes_from_a_checkpoint(kind: str, engine: str, tmp_path: Path):
    draw = np.random.default_rng(0)
    x, w = draw.normal(size=(100, 3)), draw.exponential(size=100)
    target, *options = kind.split()
    np.savez(tmp_path / "rows.npz", x=x, y=x.sum(1) > 0.5 if target == "classes" else x.sum(1), w=w)
    words = (
        f"dataset=arrays dataset.path={tmp_path}/rows.npz dataset.weight=w log_every=3 eval_every=1epoch save_every=7"
    )
    more = f"batching.batch_size=7 model.dropout=0.3 engine={engine} epochs=4 threads=1"
    assert_every_checkpoint_resumes_to_the_same_end([*words.split(), *options, *more.split()])


COUNTING = """
import torch
from torch import nn

class Counting(nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
    def forward(self, x):
        if self.training:
            self.calls += 1
        return super().forward(x) * (1 + self.calls / 100)
"""


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_a_run_with_a_buffer_outside_the_state_dict_resumes(ema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("counting",))
    model = f"model=linear ~model.bias model._target_=counting.Counting ema={ema}"
    assert_every_checkpoint_resumes_to_the_same_end(overrides_of(MODES[2], model, "eager"))


RANDOM = given(
    dataset=st.sampled_from(["iris", "diabetes", "xor"]),
    optimizer=st.sampled_from(["sgd", "adam", "rmsprop", "adagrad"]),
    batch_size=st.sampled_from(["null", "1", "3", "4"]),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    dropout=st.sampled_from([0.0, 0.4]),
    scheduler=st.sampled_from(["none", "step", "warmup", "cosine", "plateau"]),
    log=st.sampled_from(["auto", "1", "5", "1epoch"]),
    evaluate=st.sampled_from(["auto", "4", "2epochs"]),
    save=st.sampled_from(["auto", "31"]),
    engine=st.sampled_from(["eager", "replay"]),
    seed=st.integers(0, 2**40),
)


def assert_random_run_resumes(**run: Any) -> None:
    rates = "optimizer.lr=0.0001" if run["dataset"] == "diabetes" else "optimizer.lr=0.01"
    line = (
        f"dataset={run['dataset']} optimizer={run['optimizer']} {rates} batching.batch_size={run['batch_size']} "
        f"batching.shuffle={run['shuffle']} batching.drop_last={run['drop_last']} model.dropout={run['dropout']} "
        f"scheduler={run['scheduler']} log_every={run['log']} eval_every={run['evaluate']} "
        f"save_every={run['save']} engine={run['engine']} seed={run['seed']} threads=1 "
        f"epochs={30 if run['batch_size'] == 'null' or run['dataset'] == 'xor' else 1}"
    )
    assert_every_checkpoint_resumes_to_the_same_end(line.split())


@settings(max_examples=4)
@RANDOM
def test_a_random_run_resumes_from_a_checkpoint(**run: Any):
    assert_random_run_resumes(**run)


@pytest.mark.slow
@settings(max_examples=25)
@RANDOM
def test_many_random_runs_resume_from_a_checkpoint(**run: Any):
    assert_random_run_resumes(**run)


def exp_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp", list(arguments), folder)


LINE = (
    "dataset=moons epochs=160 model.dropout=0.2 optimizer=adam save_every=1000 figures=false threads=1 "
    "hydra.run.dir=run"
).split()
SHORT = [word for word in LINE if not word.startswith(("epochs=", "hydra.run.dir="))]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def curve(folder: Path) -> list[tuple[int, float]]:
    """The training loss that TensorBoard reads from the run's one event file."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(point.step, point.value) for point in events.Scalars("loss/train")]


def assert_same_end(one: Path, other: Path) -> None:
    assert rows(one) == rows(other)
    assert curve(one) == curve(other)
    for name in ("last.pt", "best.pt"):
        ours, theirs = (checkpoints.read(folder / "checkpoints" / name) for folder in (one, other))
        assert bits(ours) == bits(theirs)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert exp_in(folder, *LINE).returncode == 0
    return folder / "run"


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGINT, signal.SIGTERM))]
)
def test_a_stopped_process_can_be_resumed(how: signal.Signals, uninterrupted: Path, tmp_path: Path):
    process = forking.begin("exp", *LINE, folder=tmp_path)
    while not (tmp_path / "run/checkpoints/last.pt").exists():
        time.sleep(0.001)
        assert process.poll() is None
    time.sleep(0.02)
    process.send_signal(how)
    assert process.wait() == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    done = exp_in(tmp_path, "resume=run")
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert_same_end(tmp_path / "run", uninterrupted)


@pytest.mark.slow
def test_a_killed_run_of_a_table_that_restores_its_best_parameters_can_be_resumed(tmp_path: Path):
    """Its target is standardised, and it stops early."""
    draw = random.Random(0)
    table = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(3000)]
    text = "\n".join(["a,b,price", *(f"{a},{b},{1e6 + 1e4 * a * b + 1e4 * draw.gauss(0, 1)}" for a, b in table)])
    (tmp_path / "rows.csv").write_text(text + "\n")
    line = (
        "dataset=table dataset.path=rows.csv dataset.target=price optimizer.lr=0.03 save_every=500 figures=false "
        "early_stopping.patience=20 threads=1"
    ).split()
    assert exp_in(tmp_path, *line, "hydra.run.dir=whole").returncode == 0
    process = forking.begin("exp", *line, "hydra.run.dir=run", folder=tmp_path)
    while not (tmp_path / "run/checkpoints/last.pt").exists():
        time.sleep(0.001)
        assert process.poll() is None
    process.kill()
    assert process.wait() == -9
    done = exp_in(tmp_path, "resume=run")
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert_same_end(tmp_path / "run", tmp_path / "whole")
    ours, theirs = (json.loads((tmp_path / run / "summary.json").read_text()) for run in ("run", "whole"))
    assert all(ours[key] == theirs[key] for key in ("status", "final", "best", "steps", "restored_step", "decided"))
    assert ours["restored_step"] < ours["steps"] < ours["planned_steps"]


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_can_be_resumed(uninterrupted: Path, tmp_path: Path):
    process = forking.begin("exp", *LINE, folder=tmp_path)
    while not (tmp_path / "run/summary.json").exists():
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (tmp_path / "run/checkpoints").exists()
    done = exp_in(tmp_path, "resume=run")
    assert done.returncode == 0, done.stderr
    assert_same_end(tmp_path / "run", uninterrupted)


def test_a_finished_run_can_be_extended(tmp_path: Path):
    """A run extended to twice its length has the parameters of a run of that length."""
    for name, epochs in (("whole", 20), ("run", 10)):
        assert exp_in(tmp_path, *SHORT, f"epochs={epochs}", f"hydra.run.dir={name}").returncode == 0
    assert exp_in(tmp_path, "resume=run", "epochs=20").returncode == 0
    for key in ("model", "optimizer"):
        ours, theirs = (checkpoints.read(tmp_path / run / "checkpoints/last.pt")[key] for run in ("run", "whole"))
        assert bits(ours) == bits(theirs)
    steps = [int(row["step"]) for row in rows(tmp_path / "run") if row["split"] == "train"]
    assert steps == sorted(set(steps))


def test_a_damaged_checkpoint_is_detected_and_the_previous_one_used(uninterrupted: Path, tmp_path: Path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    last = tmp_path / "run/checkpoints/last.pt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    (tmp_path / "run/summary.json").unlink()
    done = exp_in(tmp_path, "resume=run")
    assert done.returncode == 0, done.stderr
    assert "using the previous checkpoint" in done.stdout
    assert_same_end(tmp_path / "run", uninterrupted)


def test_a_run_stopped_before_its_summary_was_saved_can_be_resumed(uninterrupted: Path, tmp_path: Path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    done = exp_in(tmp_path, "resume=run")
    assert done.returncode == 0, done.stderr
    assert_same_end(tmp_path / "run", uninterrupted)
    ours, theirs = (json.loads((run / "summary.json").read_text()) for run in (tmp_path / "run", uninterrupted))
    assert all(ours[key] == theirs[key] for key in ("status", "final", "best", "steps"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("resume=nowhere", "resume=nowhere: no run is there", marks=pytest.mark.slow),
        ("resume=run optimizer.lr=0.5", "optimizer.lr was 0.001, is now 0.5"),
        ("resume=run epochs=3", "epochs=3 is less than the run's 160"),
        ("resume=run epochs=abc", "epochs must be an integer >= 1, or auto, got abc\n  try: epochs=320\n"),
        pytest.param("resume=run epochs=", "got \n  try: epochs=320\n", marks=pytest.mark.slow),
        pytest.param("resume=run epochs=-1", "got -1\n  try: epochs=320\n", marks=pytest.mark.slow),
        ("resume=run epochs=320 metric=F1", "metric was loss, is now F1\n  try: python -m exp resume=run epochs=320\n"),
        ("resume=run fold=1", "fold was null, is now 1\n  try: python -m exp resume=run\n"),
        ("resume=run folds=3", "one run, and folds=3 starts several\n  try: python -m exp resume=run\n"),
        pytest.param("resume=run -m", "resume= resumes one run, and -m starts several", marks=pytest.mark.slow),
    ],
)
def test_arguments_that_do_not_fit_the_run_are_refused(line: str, message: str, uninterrupted: Path, tmp_path: Path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    before = (tmp_path / "run/metrics.csv").read_bytes()
    done = exp_in(tmp_path, *line.split())
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run/metrics.csv").read_bytes() == before


@pytest.mark.slow
def test_auto_resumes_the_latest_run_of_the_same_command(tmp_path: Path):
    line = [argument for argument in LINE if not argument.startswith("hydra.")]
    first = exp_in(tmp_path, *line, "resume=auto")
    assert first.returncode == 0, first.stderr
    assert "resumed" not in first.stdout
    again = exp_in(tmp_path, *line, "resume=auto")
    assert again.returncode == 0, again.stderr
    assert "is finished" in again.stdout
    (run,) = (tmp_path / "outputs").glob("*/*")
    os.remove(run / "checkpoints/last.pt")
    (run / "summary.json").write_text('{"status": "running"}')
    third = exp_in(tmp_path, *line, "resume=auto")
    assert third.returncode == 0, third.stderr
    assert "resumed" in third.stdout
    assert len(list((tmp_path / "outputs").glob("*/*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["it's a=b,c\\d"])
def test_a_folder_with_any_name_can_be_resumed(name: str, tmp_path: Path):
    assert exp_in(tmp_path, *SHORT, "epochs=2", "hydra.run.dir=run").returncode == 0
    (tmp_path / "run").rename(tmp_path / name)
    done = exp_in(tmp_path, f"resume={name}", "epochs=4")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / name / "summary.json").read_text())["epochs"] == 4


@pytest.mark.parametrize(
    ("path", "damage", "message"),
    [
        pytest.param("metrics.csv", None, "the metrics from there to step", marks=pytest.mark.slow),
        pytest.param(
            "metrics.csv",
            "step,epoch,samples,seconds,split,loss,accuracy\n1,x,y,z,train,,\n",
            "are lost",
            marks=pytest.mark.slow,
        ),
        ("summary.json", "[]", "train"),
    ],
)
def test_damage_to_other_files_does_not_prevent_resuming(
    path: str, damage: str | None, message: str, uninterrupted: Path, tmp_path: Path
):
    shutil.copytree(uninterrupted, tmp_path / "run")
    if damage is None:
        (tmp_path / "run" / path).unlink()
    else:
        (tmp_path / "run" / path).write_text(damage)
    done = exp_in(tmp_path, "resume=run", "epochs=161")
    assert done.returncode == 0, done.stderr
    assert message in done.stdout


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_is_left_unchanged(tmp_path: Path):
    """If its rows are missing or have changed, its status and results are kept."""
    rows = [f"{i % 7},{i % 3},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,z,kind", *rows]) + "\n")
    line = "dataset=table dataset.path=rows.csv dataset.target=kind epochs=2 figures=false hydra.run.dir=run"
    done = exp_in(tmp_path, *line.split())
    assert done.returncode == 0, done.stderr
    names = ("summary.json", "metrics.csv", "checkpoints/last.pt")
    before = [(tmp_path / "run" / name).read_bytes() for name in names]
    (tmp_path / "rows.csv").write_text("\n".join(["x,z,kind", *rows[1:]]) + "\n")
    assert "the rows differ from those that the run was trained on" in exp_in(tmp_path, "resume=run", "epochs=4").stderr
    (tmp_path / "rows.csv").unlink()
    assert "file not found" in exp_in(tmp_path, "resume=run", "epochs=4").stderr
    assert [(tmp_path / "run" / name).read_bytes() for name in names] == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param("overrides", "- 3", marks=pytest.mark.slow),
        ("overrides", "a: ["),
        pytest.param("config", "[]", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_hydra_file_is_an_error(name: str, damage: str, uninterrupted: Path, tmp_path: Path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    (tmp_path / f"run/.hydra/{name}.yaml").write_text(damage)
    done = exp_in(tmp_path, "resume=run")
    assert done.returncode == 1
    assert f".hydra/{name}.yaml" in done.stderr
    assert "Traceback" not in done.stderr
