"""Keys that are `auto`: what the data decide, who overrides it, and that it is the run with these values."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import config_of, list_evaluations

from exp.api import train
from exp.models.number_embeddings import Piecewise
from exp.training.build import build
from exp.training.choices import list_decided, list_undecided, list_unused
from exp.training.loop import Training


def losses(*overrides: str) -> list[Any]:
    experiment = build(config_of(*overrides, "threads=1"))
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return [event.metrics for event in list_evaluations(events)]


@pytest.mark.parametrize(
    ("dataset", "loss"), [("iris", "cross_entropy"), ("moons", "cross_entropy"), ("diabetes", "mse")]
)
def test_the_loss_follows_the_target_to_the_bit(dataset: str, loss: str):
    assert losses(f"dataset={dataset}", "loss=auto", "epochs=2") == losses(
        f"dataset={dataset}", f"loss={loss}", "epochs=2"
    )


def write_arrays(folder: Path, rows: int = 60) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 2))
    np.savez(folder / "numbers.npz", x=x, y=x @ [2.0, -1.0])
    np.savez(folder / "classes.npz", x=x, y=(x[:, 0] > 0).astype(int))


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("", "torch.nn.MSELoss"),
        ("dataset.path=classes.npz", "torch.nn.CrossEntropyLoss"),
        ("loss=huber", "torch.nn.HuberLoss"),
        ("experiment=mine", "torch.nn.L1Loss"),
        ("experiment=mine loss=huber", "torch.nn.HuberLoss"),
    ],
)
def test_a_command_line_and_a_preset_choose_another_loss(
    words: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also where a dataset of the user's own begins with that of exp."""
    monkeypatch.chdir(tmp_path)
    write_arrays(tmp_path)
    for name, text in {
        "dataset/own": "defaults: [arrays]\npath: numbers.npz\n",
        "experiment/mine": "# @package _global_\ndefaults:\n  - override /loss: l1\nepochs: 7\n",
    }.items():
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    config = config_of("dataset=own", *words.split(), config_dir=tmp_path / "conf")
    experiment = build(config)
    assert experiment.config.loss["_target_"] == target
    assert f"{type(experiment.objective.criterion).__module__.rpartition('.')[0]}" == "torch.nn.modules"
    assert config.epochs == (7 if "mine" in words else "auto")


LENGTHS = [
    (60, "epochs=auto batching=auto", 32, 200),
    (10, "epochs=auto batching=auto", 6, 200),
    (6000, "epochs=auto batching=auto", 64, 70),
    (6000, "epochs=auto batching=online", 1, 10),
    (6000, "epochs=auto batching=full", None, 200),
    (6000, "batching.batch_size=auto epochs=3", 64, 3),
]


@pytest.mark.parametrize(("rows", "words", "batch_size", "epochs"), LENGTHS)
def test_the_rows_decide_the_length(
    rows: int, words: str, batch_size: int | None, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_arrays(tmp_path, rows)
    typed = config_of("dataset=arrays", "dataset.path=numbers.npz", *words.split())
    config = build(typed).config
    assert (config.batching.batch_size, config.epochs) == (batch_size, epochs)
    assert set(list_decided(typed, config)) == {
        "loss",
        "dataset.scale_target",
        *({"epochs"} if "epochs=auto" in words else ()),
        *({"batching.batch_size"} if "=auto" in words.partition("batching")[2] else ()),
    }


@pytest.mark.parametrize(
    ("rows", "words", "batch_size"),
    [pytest.param(*case[:3], marks=() if case in LENGTHS[:2] else pytest.mark.slow) for case in LENGTHS],
)
def test_a_run_with_decided_values_is_that_with_typed_ones(
    rows: int, words: str, batch_size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_arrays(tmp_path, rows)
    assert losses("dataset=arrays", "dataset.path=numbers.npz", *words.split(), "epochs=2") == losses(
        "dataset=arrays",
        "dataset.path=numbers.npz",
        "loss=mse",
        *words.split(),
        f"batching.batch_size={'null' if batch_size is None else batch_size}",
        "epochs=2",
    )


def test_a_run_says_what_was_decided_and_is_resumed_and_used(exp: Callable[..., Any], tmp_path: Path):
    write_arrays(tmp_path)
    line = "dataset=arrays dataset.path=numbers.npz early_stopping.patience=null figures=false hydra.run.dir=run"
    done = exp(*line.split())
    assert done.returncode == 0, done.stderr
    assert "mse() (auto)" in done.stdout
    assert "batches of 32 (auto), shuffled: 200 epochs (auto) of 2 steps = 400 steps" in done.stdout
    assert json.loads((tmp_path / "run/summary.json").read_text())["decided"] == {
        "epochs": 200,
        "batching.batch_size": 32,
        "dataset.scale_target": True,
        "loss": "mse",
    }
    assert "_target_: auto" in (tmp_path / "run/.hydra/config.yaml").read_text()
    assert "is finished\n  to train longer: python -m exp resume=" in exp("resume=run").stdout
    assert "epochs=20 is less than the run's 200" in exp("resume=run", "epochs=20").stderr
    longer = exp("resume=run", "epochs=201")
    assert longer.returncode == 0, longer.stderr
    assert "after step 400 of 402" in longer.stdout
    assert "epochs=auto is not the run's 201" in exp("resume=run", "epochs=auto").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("epochs=automatic", "epochs must be an integer >= 1, or auto, got automatic"),
        pytest.param(
            "batching.batch_size=0",
            'batching.batch_size must be an integer >= 1, or null, or auto, or "<=N", got 0',
            marks=pytest.mark.slow,
        ),
        ("loss=auto loss.delta=2", "loss=huber loss.delta=2"),
        pytest.param("loss=auto +loss.delta=2", "loss.delta: auto has no argument 'delta'", marks=pytest.mark.slow),
        pytest.param("loss=automatic", "try: loss=auto", marks=pytest.mark.slow),
        pytest.param("dataset.missing=drop", "dataset.missing=drop", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_word_is_answered(words: str, message: str, exp: Callable[..., Any]):
    done = exp(*words.split())
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("numbers", "embedding"), [(3, "piecewise"), (100, "piecewise"), (101, None)])
def test_embedding_auto_is_piecewise_for_at_most_100_numbers(
    numbers: int, embedding: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(40, numbers)), y=np.arange(40) % 2)
    typed = config_of("dataset=arrays", "dataset.path=x.npz", "model=tabm", "epochs=1")
    experiment = build(typed)
    assert experiment.config.model["embedding"] == embedding
    assert list_decided(typed, experiment.config)["model.embedding"] == embedding
    assert any(isinstance(module, Piecewise) for module in experiment.model.modules()) == (embedding is not None)


@pytest.mark.parametrize(
    ("dataset", "typed", "notes"),
    [
        ("diabetes", ["loss.label_smoothing=0.3"], ["loss.label_smoothing has no effect: the target has no classes"]),
        ("diabetes", [], []),
        ("iris", ["loss.label_smoothing=0.3"], []),
    ],
)
def test_an_argument_that_the_loss_does_not_have_is_told(dataset: str, typed: list[str], notes: list[str]):
    config = config_of(f"dataset={dataset}", "loss=auto_smooth", *typed)
    assert list_unused(config, build(config).config, [f"dataset={dataset}", *typed]) == notes


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ("early_stopping.patience=3 metric=accuracy", ["metric=accuracy", "early_stopping.patience=3"]),
        ("early_stopping.restore_best=true", ["early_stopping.restore_best=true"]),
        ("early_stopping.patience=null early_stopping.restore_best=auto", []),
        ("early_stopping.restore_best=false", []),
    ],
)
def test_what_would_decide_by_validation_rows_is_told_if_there_are_none(words: str, chosen: list[str]):
    line = ["dataset=iris", "dataset.split=[.8,0,.2]", *words.split()]
    assert list_undecided(config_of(*line), line) == [
        f"{one} decides nothing, because there are no validation rows" for one in chosen
    ]


def test_a_run_without_validation_rows_tells_that_it_does_not_stop_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    line = ["dataset=iris", "early_stopping.patience=3", "epochs=1", "figures=false"]
    note = "early_stopping.patience=3 decides nothing, because there are no validation rows"
    assert note in train(*line, "dataset.split=[.8,0,.2]").summary["notes"]
    assert note not in train(*line).summary.get("notes", [])
