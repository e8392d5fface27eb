"""`exp calibrate`: what it prints, keeps and changes, and what it refuses."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from forking import run as run_module
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, log_loss

from exp import train
from exp.calibrate import calibrate
from exp.config.schema import Config
from exp.errors import DataError
from exp.results import trained_model
from exp.training.build import Experiment, build

RUN = "dataset=cancer loss.class_weights=[1,20] epochs=6 figures=false batching.batch_size=32 hydra.run.dir=run"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert run_module("exp", RUN.split(), folder).returncode == 0
    diabetes = "dataset=diabetes epochs=1 figures=false hydra.run.dir=numbers"
    assert run_module("exp", diabetes.split(), folder).returncode == 0
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    x.assign(target=y).to_csv(folder / "rows.csv", index=False)
    return folder


@pytest.fixture
def folder(runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(runs, tmp_path / "copy")
    return tmp_path / "copy"


def do(folder: Path, *words: str) -> str:
    result = run_module("exp", [*words], folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def evaluated(printed: str) -> dict[str, float]:
    return {name: float(value) for name, value in (line.split() for line in printed.splitlines()[1:])}


def test_calibrated_probabilities_are_predicted_and_evaluated(folder: Path):
    before = evaluated(do(folder, "evaluate", "run=run", "split=val"))
    printed = do(folder, "calibrate", "run=run")
    assert "fitted on 113 validation rows" in printed
    content = json.loads((folder / "run/calibration.json").read_text())
    assert any(content["bias"])  # the run has class weights
    after = content["after"]["val"]
    assert after["log_loss"] < content["before"]["val"]["log_loss"]
    assert after["accuracy"] == evaluated(do(folder, "evaluate", "run=run", "split=val"))["accuracy"]

    do(folder, "predict", "run=run", "data=rows.csv", "out=p.csv")
    with (folder / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    second = np.array([float(row["probability benign"]) for row in rows])
    torch.manual_seed(0)
    order = torch.randperm(569).numpy()  # random_split's
    val, truth = order[341:454], load_breast_cancer().target
    assert log_loss(truth[val], second[val]) == pytest.approx(after["log_loss"], rel=1e-5)
    assert accuracy_score(truth[val], second[val] >= 0.5) == pytest.approx(after["accuracy"])

    assert "without calibration" in do(folder, "calibrate", "run=run", "method=none")
    assert evaluated(do(folder, "evaluate", "run=run", "split=val")) == before


@pytest.mark.parametrize("loss", ["cross_entropy +loss.weight=[1,20]", "bce_with_logits +loss.pos_weight=20"])
def test_weights_of_the_loss_itself_are_corrected_too(loss: str, tmp_path: Path):
    words = [f"loss={loss}", "dataset=cancer", "epochs=2", "batching.batch_size=32", f"hydra.run.dir={tmp_path}/run"]
    train(*" ".join(words).split(), figures=False)
    calibrate(f"{tmp_path}/run")
    assert all(json.loads((tmp_path / "run/calibration.json").read_text())["bias"])


def test_a_bias_needs_validation_rows_of_each_class(tmp_path: Path):
    """Its bias would be so low that the class would never be predicted again."""
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"x": random.normal(size=120), "y": [*["rare"] * 5, *["a", "b"] * 56, "a", "a", "b"]})
    rows.iloc[:80].to_csv(tmp_path / "train.csv", index=False)
    rows.iloc[80:].to_csv(tmp_path / "val.csv", index=False)
    words = ["dataset=table", f"dataset.path={tmp_path}/train.csv", f"dataset.val_path={tmp_path}/val.csv"]
    words += ["dataset.target=y", "loss.class_weights=balanced", "epochs=1", "model=linear"]
    train(*words, f"hydra.run.dir={tmp_path}/run", figures=False)
    with pytest.raises(DataError, match=r"no validation row is rare, .*\n  try: method=temperature"):
        calibrate(f"{tmp_path}/run")
    calibrate(f"{tmp_path}/run", method="temperature")


@pytest.mark.slow
def test_a_calibrated_model_is_exported(folder: Path):
    do(folder, "calibrate", "run=run")
    do(folder, "export", "run=run", "format=pt2", "out=m.pt2")
    program: Any = torch.export.load(folder / "m.pt2").module()
    assert program(torch.zeros(1, 30)).shape == (1, 2)
    do(folder, "calibrate", "run=run", "method=none")


def test_a_threshold_decides_what_is_predicted(folder: Path):
    do(folder, "calibrate", "run=run", "method=temperature", "threshold=0.9")
    do(folder, "predict", "run=run", "data=rows.csv", "out=p.csv")
    with (folder / "p.csv").open() as file:
        for row in csv.DictReader(file):
            assert row["prediction"] == ("benign" if float(row["probability benign"]) >= 0.9 else "malignant")
    printed = do(folder, "calibrate", "run=run", "threshold=f1:malignant")
    assert "which has the best f1:malignant" in printed
    content = json.loads((folder / "run/calibration.json").read_text())
    assert content["after"]["val"]["f1:malignant"] >= content["before"]["val"]["f1:malignant"]


def test_the_rows_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    builds: list[Config] = []

    def count(config: Config) -> Experiment:
        builds.append(config)
        return build(config)

    monkeypatch.setattr(trained_model, "build", count)
    monkeypatch.chdir(folder)
    calibrate("run", threshold="f1:malignant")
    assert len(builds) == 1


@pytest.mark.slow
def test_other_parameters_are_not_calibrated(folder: Path):
    do(folder, "calibrate", "run=run")
    do(folder, "resume=run", "epochs=8")
    printed = do(folder, "evaluate", "run=run")
    assert "not calibrated: run/calibration.json is of step 66, and the parameters are of step 88" in printed
    assert "checkpoint last\n" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run=run", "method=platt"], "method=platt: unknown method (available: auto, temperature, bias, none)"),
        pytest.param(
            ["run=run", "threshold=2"],
            "threshold=2: must be a number between 0 and 1, or a metric",
            marks=pytest.mark.slow,
        ),
        (["run=run", "threshold=rmse"], "threshold=rmse: rmse is no metric of classes"),
        pytest.param(
            ["run=run", "threshold=f1:maybe"], "f1:maybe: the target has no class 'maybe'", marks=pytest.mark.slow
        ),
        pytest.param(
            ["run=run", "threshold=auc"],
            "auc does not depend on the predicted class (available: accuracy, balanced_accuracy, f1,",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["run=numbers"], "run=numbers: it predicts numbers, and only probabilities of", marks=pytest.mark.slow
        ),
        pytest.param(["run=nowhere"], "nowhere does not contain a run", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_calibrated_is_refused(runs: Path, words: list[str], message: str):
    result = run_module("exp", ["calibrate", *words], runs)
    assert result.returncode == 1
    assert message in result.stderr
    assert "try: " in result.stderr


def test_a_run_without_validation_rows_is_refused(folder: Path):
    do(
        folder,
        *"dataset=iris loss=cross_entropy epochs=1 figures=false dataset.split=[.8,0,.2] hydra.run.dir=all".split(),
    )
    result = run_module("exp", ["calibrate", "run=all"], folder)
    assert "run=all: it has no val rows that were not trained on" in result.stderr
    do(folder, *"dataset=iris epochs=1 figures=false dataset.train_on_val=true hydra.run.dir=more".split())
    result = run_module("exp", ["calibrate", "run=more"], folder)
    assert "run=more: it was trained on its validation rows" in result.stderr
    assert "try: a run without dataset.train_on_val" in result.stderr


def test_one_row_is_written_in_the_singular_and_the_command_once(tmp_path: Path):
    rows = [f"{place * 1.7 + 0.3},{'no' if place < 5 else 'yes'}" for place in range(10)]
    (tmp_path / "few.csv").write_text("\n".join(["x,ill", *rows]) + "\n")
    line = "dataset=table dataset.path=few.csv dataset.target=ill dataset.split=[.8,.1,.1] epochs=99 figures=false"
    printed = do(tmp_path, *line.split(), "early_stopping.patience=1", "hydra.run.dir=few", "model=linear")
    assert "after 1 evaluation without improvement" in printed
    refused = run_module("exp", ["calibrate", "run=few"], tmp_path).stderr
    assert refused.startswith("exp calibrate: every validation row (1) is predicted right, ")
    printed += do(tmp_path, "evaluate", "run=few") + do(tmp_path, "status", "few")
    assert not re.search(r"\b1 (rows|evaluations|epochs|features|columns|classes|cores|threads)\b", printed)


@pytest.mark.parametrize(
    "change",
    [
        {},
        pytest.param({"scale": float("nan")}, marks=pytest.mark.slow),
        pytest.param({"scale": 0}, marks=pytest.mark.slow),
        {"bias": [0.0]},
        pytest.param({"threshold": 2.0}, marks=pytest.mark.slow),
        pytest.param({"threshold": "x"}, marks=pytest.mark.slow),
        pytest.param({"step": None}, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_calibration_is_refused(folder: Path, change: dict[str, Any]):
    content = {"scale": 1.0, "bias": [0.0, 0.0], "threshold": None, "step": 66} if change else {}
    (folder / "run/calibration.json").write_text(json.dumps(content | change))
    result = run_module("exp", ["evaluate", "run=run"], folder)
    assert "run/calibration.json cannot be read" in result.stderr


def test_a_sweep_is_its_best_job(folder: Path):
    words = "dataset=cancer optimizer.lr=0.0001,0.1 epochs=4 figures=false sweep.workers=0 hydra.sweep.dir=sweep"
    do(folder, "-m", *words.split())
    printed = do(folder, "calibrate", "run=sweep")
    assert printed.startswith("sweep: job 1: loss/val ")
    assert (folder / "sweep/1/calibration.json").exists()
    assert "calibrate run=sweep/1 method=none deletes it" in printed
    assert ", calibrated: p.csv" in do(folder, "predict", "run=sweep", "data=rows.csv", "out=p.csv")
    assert do(folder, "calibrate", "run=sweep", "method=none").endswith("without calibration: sweep/1\n")
    assert not (folder / "sweep/1/calibration.json").exists()


@pytest.mark.parametrize("method", ["auto", "none"])
@pytest.mark.parametrize("link", ["calibration.json", "."])
def test_nothing_is_written_through_a_link(link: str, method: str, folder: Path):
    (folder / "her sweep").mkdir()
    (folder / "her sweep/multirun.yaml").write_text("hydra: {}\n")
    elsewhere, job = folder / "elsewhere", folder / "her sweep/0"
    if link == ".":
        shutil.move(folder / "run", elsewhere)
        job.symlink_to(elsewhere)
    else:
        shutil.move(folder / "run", job)
        elsewhere.write_text("{}")
        (job / link).symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir()) if elsewhere.is_dir() else elsewhere.read_text()
    refused = run_module("exp", ["calibrate", "run=her sweep/0", f"method={method}"], folder)
    assert refused.returncode == 1
    assert "is a link, but a run may write only in its own folder\n  try: rm 'her sweep/0" in refused.stderr
    assert before == (sorted(elsewhere.iterdir()) if elsewhere.is_dir() else elsewhere.read_text())
    assert (job / link).is_symlink() or job.is_symlink()
