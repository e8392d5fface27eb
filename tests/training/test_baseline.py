"""The row of guessing in the final table, against scikit-learn's dummies, and the warning of a run that is worse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import config_of
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score

from exp.reports.run_report import final_table
from exp.training.baseline import compare_with_baseline, compute_baseline
from exp.training.build import build
from exp.training.events import Baseline, Noted
from exp.training.metrics import MetricSums
from exp.training.split_metrics import compute_metrics


@pytest.mark.parametrize("choice", ["true", "log", "false"])
@pytest.mark.parametrize("targets", [1, 2])
def test_numbers_are_guessed_as_by_scikit_learns_dummy(
    targets: int, choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    y = np.exp(np.random.default_rng(0).normal(size=(80, targets))) * 1e5
    np.savez("rows.npz", x=np.zeros((80, 1)), y=y)
    experiment = build(config_of("dataset=arrays", "dataset.path=rows.npz", f"dataset.scale_target={choice}"))
    data = experiment.data
    rows = {name: split.row_numbers - 1 for name, split in data.splits.items()}
    guess = DummyRegressor().fit(np.zeros((48, 1)), y[rows["train"]]).predict(np.zeros((16, 1)))
    for name in ("val", "test"):
        baseline = compute_baseline(experiment.objective, data, name)
        expected = guess.reshape(16, -1)
        truth = y[rows[name]]
        assert (baseline.name, baseline.split, baseline.rows) == ("always the mean", name, 16)
        assert baseline.metrics["rmse"] == pytest.approx(np.sqrt(mean_squared_error(truth, expected)), rel=1e-5)
        assert baseline.metrics["r2"] == pytest.approx(r2_score(truth, expected), abs=1e-5)
        if choice == "true":
            units = y[rows["train"]].std(0)
            loss = mean_squared_error(truth / units, expected / units)
            assert baseline.metrics["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_classes_are_guessed_as_by_scikit_learns_dummy(loss: str):
    experiment = build(config_of("dataset=cancer", f"loss={loss}"))
    data = experiment.data
    truth = {name: split.y.reshape(-1).long().numpy() for name, split in data.splits.items()}
    dummy = DummyClassifier().fit(truth["train"], truth["train"])
    baseline = compute_baseline(experiment.objective, data, "test")
    assert baseline.name == "always benign"
    assert baseline.metrics == {"accuracy": accuracy_score(truth["test"], dummy.predict(truth["test"]))}


def test_the_terminal_the_summary_and_the_page_have_it(exp: Any, tmp_path: Path):
    done = exp("dataset=cancer", "epochs=2", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    (line,) = (line.split() for line in done.stdout.splitlines() if line.startswith("always benign"))
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    accuracy = summary["baseline"]["metrics"]["accuracy"]
    assert line == ["always", "benign", "-", f"{100 * accuracy:.2f}", "%", "115"]
    assert summary["baseline"]["name"] == final_table(summary).rows[-1][0] == "always benign"
    assert "always benign" in (tmp_path / "run/report.html").read_text()
    assert "warning" not in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("dataset=diabetes optimizer.lr=1e-9 epochs=1", "the model has not learned"),
        pytest.param(
            "dataset=cancer optimizer.lr=1e-9 epochs=1 seed=1", "the model has not learned", marks=pytest.mark.slow
        ),
        pytest.param(
            "dataset=diabetes dataset.split=[15,20,407] model.hidden=[100] optimizer=adam optimizer.lr=0.05 epochs=300",
            "the model overfits",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_that_is_worse_ends_with_a_warning(words: str, why: str, exp: Any, tmp_path: Path):
    done = exp(*words.split(), "figures=false", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("warning   worse than guessing: "))
    assert why in line
    assert "; try: " in line
    assert line.removeprefix("warning   ") in json.loads((tmp_path / "run/summary.json").read_text())["notes"]


def test_the_warning_advises_only_what_is_off(exp: Any):
    words = "dataset=cancer optimizer.lr=1e-9 seed=1 epochs=1 figures=false"
    advice = {}
    for change in ("dataset.scaler=standard", "dataset.scaler=none"):
        done = exp(*words.split(), change)
        advice[change] = [line for line in done.stdout.splitlines() if "worse than guessing" in line]
    assert all("scaler" not in line for line in advice["dataset.scaler=standard"])
    assert all("scaler" in line for line in advice["dataset.scaler=none"])
    assert all(map(len, advice.values())), advice


def test_the_best_parameters_are_not_advised_twice():
    experiment = build(config_of("dataset=diabetes"))
    bad = {name: experiment.learner.evaluate(split) for name, split in experiment.data.splits.items()}
    at = experiment.batches.position(0)
    good = compute_metrics(experiment.objective, experiment.data.train.y, experiment.data.train)
    for restores, count in ((False, 1), (True, 0)):
        *_, warning = compare_with_baseline(experiment.objective, experiment.data, {**bad, "train": good}, at, restores)
        assert isinstance(warning, Noted)
        assert "overfits" in warning.text
        assert warning.text.count("restore_best") == count


@pytest.mark.parametrize(("share", "why"), [(0.5, "overfits"), (0.88, "overfits"), (0.92, "has not"), (1.2, "has not")])
def test_a_model_that_leaves_most_of_the_error_of_training_has_not_learned(share: float, why: str):
    experiment = build(config_of("dataset=diabetes"))
    objective, train = experiment.objective, experiment.data.train
    bad = {name: experiment.learner.evaluate(split) for name, split in experiment.data.splits.items()}
    outputs = train.y.mean() * share + train.y * (1 - share)  # the RMSE is that share of the RMSE of the mean
    final = {**bad, "train": compute_metrics(objective, outputs, train)}
    *_, warning = compare_with_baseline(objective, experiment.data, final, experiment.batches.position(0))
    assert isinstance(warning, Noted)
    assert why in warning.text


def test_a_run_that_is_as_good_as_guessing_has_no_warning():
    experiment = build(config_of("dataset=cancer"))
    data = experiment.data
    guesses = [compute_baseline(experiment.objective, data, name) for name in ("train", "test")]

    def final(change: int) -> dict[str, MetricSums]:
        scores = {}
        for guess in guesses:
            output = experiment.learner.evaluate(data.splits[guess.split])
            correct = round(guess.metrics["accuracy"] * guess.rows) + change
            scores[guess.split] = MetricSums(output.count, 0.0, type(output.score)(output.count, correct))
        return scores

    at = experiment.batches.position(0)
    for change, kinds in {0: [Baseline], 1: [Baseline], -1: [Baseline, Noted]}.items():
        events = compare_with_baseline(experiment.objective, data, final(change), at)
        assert [type(event) for event in events] == kinds


def test_a_class_name_is_not_markup_and_is_shortened(exp: Any, tmp_path: Path):
    name = "[red]" + "x" * 60
    text = "\n".join(["a,b", *(f"{i % 7},{name if i % 3 else 'other'}" for i in range(60))])
    (tmp_path / "rows.csv").write_text(text + "\n")
    done = exp(*"dataset=table dataset.path=rows.csv dataset.target=b epochs=1 figures=false".split())
    assert done.returncode == 0, done.stderr
    assert "always [red]" + "x" * 17 + "…" in done.stdout
