"""batching.accumulate: a batch in pieces has the loss and the gradients of the whole batch, up to rounding."""

import contextlib
import copy
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config_of, logged_steps, one_in

from exp import train
from exp.config import allowlist
from exp.engine.pieces import Pieces
from exp.engine.step import EagerStep
from exp.errors import ConfigError
from exp.export import export
from exp.models.scheduled_dropout import ScheduledDropout
from exp.training.build import Experiment, build
from exp.training.events import Snapshot
from exp.training.loop import Training
from exp.training.reuse import JobCache

LOSSES = [
    "dataset=wine",
    "dataset=wine loss.class_weights=[1,20,0.3]",
    "dataset=wine loss.class_weights=balanced loss.label_smoothing=0.1",
    "dataset=moons loss=bce_with_logits loss.class_weights={1: 3.7}",
    "dataset=moons loss=bce_with_logits +loss.pos_weight=3.7",
    "dataset=diabetes loss=huber dataset.scale_target=true",
    "dataset=diabetes dataset._target_=sklearn.datasets.load_linnerud dataset.scale_target=true",
    "dataset=wine model=tabm model.k=3 loss.class_weights=balanced",
    pytest.param("dataset=digits model=gru", marks=pytest.mark.slow),
    "dataset=arrays dataset.path=rows.npz dataset.weight=w loss=mse",
    "dataset=wine clip_grad_norm=0.1",
]


def words(line: str) -> list[str]:
    """Split at spaces that are not in a mapping."""
    return [word.replace("{1:|", "{1: ") for word in line.replace("{1: ", "{1:|").split()]


def write_rows(folder: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 4))
    np.savez(folder / "rows.npz", x=x, y=x.sum(1) + random.normal(size=90), w=random.uniform(0.1, 5, size=90))


def losses(experiment: Experiment, checkpoint: dict | None = None) -> list[float]:
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan, checkpoint)
    return [step.metrics.loss for step in logged_steps(events)]


@pytest.mark.parametrize("rows", [7, 16, 1000])
@pytest.mark.parametrize("line", LOSSES)
def test_the_gradients_are_those_of_the_batch(line: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In float64, to 1e-12, with pieces of 7 rows, of which the last one is smaller, and with a piece for all rows."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)
    experiment = build(config_of(*words(line), "batching=full", "batching.accumulate=2", "engine=eager"))
    eager = experiment.learner.step
    assert isinstance(eager, EagerStep)
    assert eager.pieces is not None
    split = experiment.data.train
    x, y = split.x.double(), split.target.double() if split.target.is_floating_point() else split.target
    for module in (eager.model, eager.criterion, experiment.objective.criterion):
        module.double()
    for module in eager.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    whole, cut = (replace(eager, pieces=pieces) for pieces in (None, Pieces(rows, eager.pieces.weigh)))
    loss, outputs, gradients = whole.compute_gradients(x, y)
    part_loss, part_outputs, part_gradients = cut.compute_gradients(x, y)
    assert part_loss.item() == pytest.approx(loss.item(), rel=1e-12)
    torch.testing.assert_close(part_outputs, outputs, rtol=1e-12, atol=1e-12)
    size = max(gradient.abs().max().item() for gradient in gradients if gradient is not None)
    torch.testing.assert_close(part_gradients, gradients, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("line", ["batching=full", "batching.batch_size=50", "batching=full optimizer=lbfgs"])
def test_a_run_has_the_losses_of_whole_batches(line: str):
    typed = [*line.split(), "dataset=wine", "log_every=1", "epochs=4", "threads=1"]
    whole, cut = (losses(build(config_of(*typed, f"batching.accumulate={count}"))) for count in (1, 3))
    assert cut == pytest.approx(whole, rel=1e-4)
    assert cut != whole


def test_a_schedule_of_dropout_ends_with_the_run():
    """106 rows are 4 batches of 25 in pieces of 9, and one of 6."""
    typed = ["dataset=wine", "model=realmlp", "model.hidden=[4]", "model.dropout=0.5", "epochs=2"]
    experiment = build(config_of(*typed, "batching.batch_size=25", "batching.accumulate=3"))
    (dropout,) = (layer for layer in experiment.model.modules() if isinstance(layer, ScheduledDropout))
    losses(experiment)
    assert dropout.step.item() == dropout.steps == 2 * (4 * 3 + 1)


@pytest.mark.parametrize("line", ["batching.batch_size=25", "batching=full loss.class_weights=balanced"])
def test_a_replayed_step_has_the_bits_of_the_eager_one(line: str):
    typed = [*line.split(), "dataset=wine", "log_every=1", "epochs=9", "batching.accumulate=4", "model.dropout=0.2"]
    eager = losses(build(config_of(*typed, "optimizer=adam", "engine=eager")))
    replayed = build(config_of(*typed, "optimizer=adam", "engine=replay"))
    assert losses(replayed) == eager
    assert replayed.learner.step.fallback_reason is None


def test_jobs_of_other_batches_do_not_share_a_compiled_step():
    """Seven rows are the last batch of both, in pieces of 5 and of 10."""
    cache = JobCache()
    for size in (10, 20):
        typed = ["dataset=wine", "dataset.split=[107,35,36]", f"batching.batch_size={size}", "batching.accumulate=2"]
        typed += ["log_every=1", "epochs=6"]
        alone = losses(build(config_of(*typed, "engine=eager")))
        experiment = build(config_of(*typed, "engine=replay"), cache)
        assert losses(experiment) == alone
        assert experiment.learner.step.fallback_reason is None


def test_a_resumed_run_has_the_same_bits():
    typed = "dataset=iris optimizer=adam batching.batch_size=20 batching.accumulate=3 epochs=3 save_every=5 log_every=1"
    config = config_of(*typed.split(), "model.dropout=0.3")
    whole = build(config)
    state = None
    for event in Training(whole.learner, whole.batches, whole.data, whole.plan):
        if isinstance(event, Snapshot) and not event.best and event.at.step == 10:
            state = copy.deepcopy(event.state)
    assert losses(build(config), state) == losses(build(config))[10:]


@pytest.mark.parametrize("line", one_in(2, LOSSES))
def test_the_exported_script_has_the_runs_losses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)
    more = ["optimizer=lbfgs", "batching=full"] if "clip" in line else ["batching.batch_size=8"]
    train(*words(line), *more, "batching.accumulate=3", "epochs=2", "threads=1", "figures=false", "hydra.run.dir=run")
    export("run", "script", "train.py", "last")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(
            compile(Path("train.py").read_text(), "train.py", "exec"), {"__name__": "__main__", "__file__": "train.py"}
        )
    printed = {one[0]: float(one[2]) for one in map(str.split, output.getvalue().splitlines())}
    summary = json.loads(Path("run/summary.json").read_text())
    assert printed == {split: metrics["loss"] for split, metrics in summary["final"].items()}
    assert "each batch in pieces of at most" in summary["described"]["pieces"]


class Mean(torch.nn.Module):
    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(output, target)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.norm=batch", "batching.accumulate=2: batch norm would use the mean and the deviation of each piece"),
        ("batching.batch_size=1", "batching.accumulate must be <= the rows of a batch, 1, got 2"),
        ("+loss.ignore_index=0", "batching.accumulate=2: with loss.ignore_index"),
        (
            "loss._target_=training.test_pieces.Mean ~loss.label_smoothing",
            "Mean is not known to be a mean over rows",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(line: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("training",))
    with pytest.raises(ConfigError, match=message):
        build(config_of(*line.split(), "batching.accumulate=2"))
