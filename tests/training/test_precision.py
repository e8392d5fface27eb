"""precision=: a plain PyTorch loop with autocast has the same losses, to the bit; the bound of each type holds."""

import contextlib
import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps, one_in
from torch import nn

from exp import train
from exp.engine.precision import Precision
from exp.errors import ConfigError
from exp.export import export
from exp.results.trained_model import load_trained
from exp.training.build import Experiment, build
from exp.training.events import Snapshot
from exp.training.loop import Training
from exp.training.precision import select_precision

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# The bounds that the first lines of a run state, relative to the loss.
BOUNDS = {"bf16": 0.04, "fp16": 0.005}
MODELS = [
    "dataset=cancer dataset.scaler=none",  # the worst one: features of a thousand
    pytest.param("dataset=wine model.hidden=[64,64]", marks=pytest.mark.slow),
    "dataset=wine model=tabm model.k=4",
    pytest.param("dataset=iris model=realmlp model.hidden=[32,32]", marks=pytest.mark.slow),
    pytest.param("dataset=digits model=gru batching=full", marks=pytest.mark.slow),
    "dataset=digits model=cnn batching=full",
    "dataset=diabetes loss=huber dataset.scale_target=true",
    pytest.param("dataset=moons loss=bce_with_logits", marks=pytest.mark.slow),
]


def trained(experiment: Experiment, checkpoint: Any = None) -> tuple[list[float], list[float], list[Any]]:
    """Return the losses of training and of validation, and the snapshots."""
    events = list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan, checkpoint))
    losses = [step.metrics.loss for step in logged_steps(events)]
    val = [event.metrics.loss for event in list_evaluations(events) if event.split == "val"]
    return losses, val, [event.state for event in events if isinstance(event, Snapshot) and not event.best]


def plain_losses(experiment: Experiment, dtype: torch.dtype, clip: float | None) -> tuple[list[float], list[float]]:
    """Return the losses that a plain loop with autocast, and a GradScaler for float16, has on all rows."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)
    train_rows, val_rows = experiment.data.train, experiment.data.val
    losses, val = [], []
    for _ in range(30):
        with torch.no_grad(), torch.autocast("cpu", dtype):
            output = model(val_rows.x)
        val += [criterion(output.float(), val_rows.target).item()]
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype):
            output = model(train_rows.x)
        loss = criterion(output.float(), train_rows.target)
        losses.append(loss.item())
        scaler.scale(loss).backward()
        if clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
    return losses, val


@pytest.mark.parametrize(("name", "engine", "clip"), one_in(3, product(TYPES, ["eager", "replay"], [None, 0.1])))
def test_a_plain_loop_with_autocast_has_the_same_losses(name: str, engine: str, clip: float | None):
    line = (
        "dataset=wine batching=full model.hidden=[16] optimizer=adam optimizer.lr=0.01 epochs=30 threads=1 log_every=1"
    )
    more = [f"precision={name}", f"engine={engine}", f"clip_grad_norm={'null' if clip is None else clip}"]
    experiment = build(config_of(*line.split(), *more))
    losses, val, _ = trained(experiment)
    assert (losses, val[:30]) == plain_losses(experiment, TYPES[name], clip)


@pytest.mark.parametrize("line", MODELS)
def test_the_loss_of_a_step_is_within_the_bound_of_that_of_fp32(line: str):
    for seed, epochs in ((0, 1), (2, 20)):
        choices = [f"seed={seed}", f"epochs={epochs}", "optimizer=adam", "threads=1", "engine=eager"]
        experiment = build(config_of(*line.split(), *choices))
        if epochs > 1:
            trained(experiment)
        step: Any = experiment.learner.step
        model, rows, criterion = experiment.model.train(), experiment.data.train, step.criterion
        outputs = {}
        for name, dtype in {"fp32": None, **TYPES}.items():
            torch.manual_seed(0)
            with torch.no_grad():
                outputs[name] = Precision("cpu", dtype).compute_outputs(model, rows.x)
        exact = criterion(outputs["fp32"], rows.target).item()
        for name, bound in BOUNDS.items():
            assert criterion(outputs[name], rows.target).item() == pytest.approx(exact, rel=bound)
            assert not torch.equal(outputs[name], outputs["fp32"])


@pytest.mark.parametrize(("name", "engine"), one_in(3, product(TYPES, ["eager", "replay"])))
def test_a_resumed_run_has_the_same_bits(name: str, engine: str):
    line = "dataset=iris optimizer=adam model.dropout=0.3 batching.batch_size=7 epochs=3 save_every=5 log_every=1"
    line += " ema=0.9 clip_grad_norm=1 threads=1"
    config = config_of(*line.split(), f"precision={name}", f"engine={engine}")
    losses, _, snapshots = trained(build(config))
    assert ("scaler" in snapshots[0]) == (name == "fp16")
    # A state is live: only the last one is still that of its step, so the others are taken again.
    whole = build(config)
    for event in Training(whole.learner, whole.batches, whole.data, whole.plan):
        if isinstance(event, Snapshot) and not event.best and event.at.step == 10:
            buffer = io.BytesIO()
            torch.save(event.state, buffer)
            break
    buffer.seek(0)
    rest, _, _ = trained(build(config), torch.load(buffer, weights_only=False))
    assert rest == losses[10:]


def test_a_step_with_infinite_gradients_counts_and_changes_no_parameter():
    config = config_of("dataset=iris", "precision=fp16", "batching=full", "epochs=3", "log_every=1", "threads=1")
    experiment = build(config)
    scaler = experiment.learner.scaler
    assert scaler is not None
    scaler.load_state_dict({**scaler.state_dict(), "scale": 1e30})  # so large that every gradient overflows
    before = [parameter.detach().clone() for parameter in experiment.model.parameters()]
    losses, _, _ = trained(experiment)
    assert len(losses) == 3
    assert len(set(losses)) == 1
    assert all(torch.equal(*pair) for pair in zip(before, experiment.model.parameters(), strict=True))
    assert scaler.get_scale() == pytest.approx(1e30 / 8)


@pytest.mark.parametrize(
    "line",
    [
        "precision=fp16 clip_grad_norm=0.5",
        "precision=bf16 optimizer=lbfgs batching=full",
        *(
            pytest.param(line, marks=pytest.mark.slow)
            for line in (
                "precision=bf16 clip_grad_norm=0.5",
                "precision=fp16 model=tabm model.k=2",
                "precision=bf16 loss.class_weights=balanced",
            )
        ),
    ],
)
def test_the_exported_script_has_the_runs_losses(line: str, tmp_path: Path):
    train(*line.split(), "epochs=2", "threads=1", "figures=false", f"hydra.run.dir={tmp_path}/run")
    export(f"{tmp_path}/run", "script", f"{tmp_path}/train.py", "last")
    script, output = (tmp_path / "train.py").read_text(), io.StringIO()
    assert "torch.autocast" in script
    with contextlib.redirect_stdout(output):
        exec(compile(script, "train.py", "exec"), {"__name__": "__main__", "__file__": f"{tmp_path}/train.py"})
    printed = {words[0]: float(words[2]) for words in map(str.split, output.getvalue().splitlines())}
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]
    assert printed == {split: metrics["loss"] for split, metrics in final.items()}


def test_the_first_lines_and_the_summary_state_the_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train("precision=bf16", "epochs=1", "figures=false", f"hydra.run.dir={tmp_path}/run")
    described = json.loads((tmp_path / "run/summary.json").read_text())["described"]
    assert "differs from that of fp32 by up to 4 %" in described["precision"]
    assert described["precision"] in capsys.readouterr().out
    state = load_trained(tmp_path / "run").state
    assert {value.dtype for value in state["model"].values()} == {torch.float32}


def test_tf32_is_set_for_the_run_alone():
    assert select_precision("tf32", torch.device("cuda")).dtype is None
    assert torch.get_float32_matmul_precision() == "high"
    select_precision("fp32", torch.device("cpu"))
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("precision=tf32", "precision=tf32 needs an NVIDIA GPU, and this run computes on cpu"),
        ("precision=fp16 optimizer=lbfgs batching=full", "precision=fp16: LBFGS computes gradients several times"),
        ("precision=bf16 loss=bce model.output_activation=sigmoid", "precision=bf16: BCELoss takes probabilities"),
    ],
)
def test_what_does_not_fit_a_precision_is_refused(line: str, message: str):
    with pytest.raises(ConfigError, match=message):
        build(config_of(*line.split(), "device=cpu"))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["tf32", "bf16", "fp16"])
def test_on_a_gpu_the_first_loss_is_within_the_bound(name: str):
    line = "dataset=digits model=cnn batching=full epochs=3 log_every=1 device=cuda"
    exact, _, _ = trained(build(config_of(*line.split())))
    narrow, _, _ = trained(build(config_of(*line.split(), f"precision={name}")))
    assert narrow[0] == pytest.approx(exact[0], rel=BOUNDS.get(name, 0.005))
    assert narrow != exact
