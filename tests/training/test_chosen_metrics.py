"""metrics=[...]: computed for whole splits, reported wherever a run's metrics are, and without effect on training."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import config_of
from sklearn import metrics as sk
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exp.config.metric_names import always_computed, metric_names, nearest_metric
from exp.errors import ConfigError
from exp.reports.run_report import write_page
from exp.results.trained_model import load_trained
from exp.training.build import build
from exp.training.split_metrics import compute_metrics

OF_CLASSES = [name for name in metric_names("classes") if name not in always_computed("classes")]
OF_NUMBERS = [name for name in metric_names("numbers") if name not in always_computed("numbers")]


@pytest.mark.parametrize(
    "words", ["dataset=cancer", "dataset=cancer loss=bce_with_logits", "dataset=iris", "dataset=diabetes"]
)
def test_every_metric_of_a_split_is_that_of_its_predictions(words: str):
    is_regression = "diabetes" in words
    names = OF_NUMBERS if is_regression else OF_CLASSES
    experiment = build(config_of(*words.split(), f"metrics=[{','.join(names)}]"))
    split, objective = experiment.data.test, experiment.objective
    output = experiment.learner.predict(split.x)
    got = compute_metrics(objective, output, split).values()
    assert list(got) == ["loss", *(("rmse", "r2") if is_regression else ("accuracy",)), *names]
    predicted = objective.prediction(output).numpy()
    if is_regression:
        y = split.values.numpy()
        assert got["mae"] == pytest.approx(sk.mean_absolute_error(y, predicted), rel=1e-6)
        assert got["median_absolute_error"] == pytest.approx(sk.median_absolute_error(y, predicted), rel=1e-6)
        return
    y = split.y.reshape(-1).long().numpy()
    probabilities = objective.probabilities(output.double()).numpy()  # pyright: ignore[reportOptionalMemberAccess]
    assert got["f1"] == pytest.approx(sk.f1_score(y, predicted, average="macro"), rel=1e-9)
    assert got["log_loss"] == pytest.approx(sk.log_loss(y, probabilities), rel=1e-9)
    score = probabilities if len(experiment.data.classes or ()) > 2 else probabilities[:, 1]
    assert got["auc"] == pytest.approx(sk.roc_auc_score(y, score, multi_class="ovr"), rel=1e-9)


def test_they_are_reported_everywhere_and_change_no_bit_of_training(exp: Any, tmp_path: Path):
    common = "dataset=cancer epochs=2 figures=false".split()
    plain = exp(*common, "hydra.run.dir=plain")
    done = exp(*common, "metrics=[f1,auc,f1:malignant]", "hydra.run.dir=run")
    assert (plain.returncode, done.returncode) == (0, 0), plain.stderr + done.stderr
    assert "f1:malignant" in done.stdout
    tables = {}
    for run in ("plain", "run"):
        with (tmp_path / run / "metrics.csv").open(newline="") as file:
            tables[run] = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    new = ("f1", "auc", "f1:malignant")
    assert [{key: value for key, value in row.items() if key not in new} for row in tables["run"]] == tables["plain"]
    assert all(bool(row[name]) == (row["split"] != "train") for row in tables["run"] for name in new)
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]
    assert all(set(new) < set(final[split]) for split in ("train", "val", "test"))
    write_page(tmp_path / "run", load_trained(tmp_path / "run").experiment, "finished")
    assert "Of the class benign: auc. In brackets" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    last = [row for row in tables["run"] if row["split"] == "val"][-1]
    for name in new:
        assert events.Scalars(f"{name}/val")[-1].value == np.float32(last[name])
    again = exp("evaluate", "run=run", "split=test")
    assert f"f1 {final['test']['f1']}" in again.stdout.splitlines(), again.stdout + again.stderr


@pytest.mark.slow
def test_a_sweep_is_sorted_by_one_of_them(exp: Any, tmp_path: Path):
    words = "-m dataset=cancer metrics=[auc,ece] epochs=2 optimizer.lr=0.001,0.1 figures=false"
    tables = {}
    for metric in ("auc/test", "ece/val"):
        folder = metric.replace("/", "-")
        done = exp(*words.split(), f"sweep.metric={metric}", "sweep.workers=0", f"hydra.sweep.dir={folder}")
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines()]
        header = next(row for row in rows if row[:2] == ["job", "lr"])
        values = [row for row in rows if row and row[0] in ("0", "1") and len(row) > 4]
        tables[metric] = header, values
        with (tmp_path / folder / "sweep.csv").open(newline="") as file:
            found = {row["job"]: float(row[metric]) for row in csv.DictReader(file)}
        best_first = sorted(found, key=lambda job: found[job], reverse=metric == "auc/test")
        assert [row[0] for row in values] == best_first


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("metrics=[mae]", "mae is no metric of classes"),
        ("metrics=[mae,rmse]", r"mae is no metric of classes; rmse is no metric of classes \(available: loss, "),
        ("dataset=diabetes metrics=[auc]", "auc is no metric of a numeric target"),
        ("metrics=[f1:yes]", "the target has no class 'yes'"),
        ("metrics=[auc,f1:yes,mae]", r"class 'yes' \(available: malignant, benign\); mae is no metric of classes"),
        ("loss=mse metrics=[brier]", "brier needs probabilities"),
    ],
)
def test_a_metric_that_the_target_or_the_loss_does_not_have_is_refused(words: str, problem: str):
    with pytest.raises(ConfigError, match=problem) as error:
        build(config_of(*words.split()))
    assert error.value.key == "metrics"


def test_a_name_that_other_programs_use_is_understood():
    meant = {"roc_auc": "auc", "AUPRC": "average_precision", "average_precision_score": "average_precision"}
    meant |= {"r2_score": "r2", "neg_log_loss": "log_loss", "f1_score:yes": "f1:yes", "sensitivity:yes": "recall:yes"}
    assert {name: nearest_metric(name) for name in meant} == meant
    assert nearest_metric("roc_auc", metric_names("numbers")) is None
    assert nearest_metric("kappa") is None


def test_a_metric_that_the_rows_do_not_define_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.savez("rows.npz", x=np.arange(30.0)[:, None], y=np.repeat([0, 1], [29, 1]))
    words = "dataset=arrays dataset.path=rows.npz dataset.split=[27,2,1] metrics=[auc,f1] seed=1".split()
    experiment = build(config_of(*words))
    splits = experiment.data.splits
    one_class = next(split for split in splits.values() if len(split.y.unique()) == 1)
    values = experiment.learner.evaluate(one_class).values()
    assert "auc" not in values
    assert "f1" in values


@pytest.mark.slow
def test_evaluate_computes_others_than_those_of_the_run(exp: Any, tmp_path: Path):
    line = "dataset=cancer epochs=2 figures=false"
    assert exp(*line.split(), "hydra.run.dir=plain").returncode == 0
    assert exp(*line.split(), "metrics=[f1,auc,f1:malignant]", "hydra.run.dir=run").returncode == 0
    expected = exp("evaluate", "run=run").stdout
    assert "f1:malignant" in expected
    for typed in ("[f1,auc,f1:malignant]", "f1, auc,f1:malignant"):
        assert exp("evaluate", "run=plain", f"metrics={typed}").stdout == expected
    assert exp("evaluate", "run=run", "metrics=f1").stdout == expected
    for wrong, problem in {
        "[acc]": "metrics must be names of metrics",
        "[auc,f1:no,mae]": "metrics=[auc,f1:no,mae]: the target has no class 'no'",
        "mae": "mae is no metric of classes",
        "f1:no": "the target has no class 'no'",
        "other.gain": "metrics=other.gain is not allowed",
    }.items():
        done = exp("evaluate", "run=plain", f"metrics={wrong}")
        assert done.returncode == 1
        assert problem in done.stderr
