"""Several labels that are 0 or 1. The references are a plain PyTorch loop, and scikit-learn's metrics."""

import csv
import json
import runpy
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import config_of
from sklearn import metrics as sk

from exp.config.metric_names import always_computed, metric_names
from exp.data.dataset import as_dataset
from exp.data.files import table
from exp.errors import ConfigError, DataError
from exp.evaluate import evaluate
from exp.export import export
from exp.predict import predict
from exp.reports.hardest_rows import hardest_rows
from exp.reports.intervals import confidence_intervals
from exp.training.build import build
from exp.training.label_metrics import METRICS, LabelRows
from exp.training.labels import Labels
from exp.training.metrics import LabelSum, MetricSums
from exp.training.split_metrics import compute_metrics

TARGETS = ["old", "big", "sold"]
LINE = ("dataset=table", "dataset.path=labels.csv", "dataset.target=[old,big,sold]", "threads=1")


def write(folder: Path, rows: int = 120) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 4))
    labels = x @ draw.normal(size=(4, 3)) + draw.normal(size=(rows, 3)) > [0, 1, -1]
    frame = pd.DataFrame(x, columns=["p", "q", "r", "s"])
    frame["old"], frame["big"] = labels[:, 0].astype(int), labels[:, 1]
    frame["sold"] = np.where(labels[:, 2], "yes", "no")
    frame["w"] = draw.integers(1, 4, size=rows)
    frame.to_csv(folder / "labels.csv", index=False)
    return frame.assign(big=labels[:, 1].astype(int), sold=labels[:, 2].astype(int))


@pytest.mark.parametrize("weighted", [False, True])
def test_every_metric_is_that_of_scikit_learn(weighted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    frame = write(tmp_path)
    names = [name for name in metric_names("labels") if name not in always_computed("labels")]
    of_one = ["accuracy", "f1", "precision", "recall", "auc", "average_precision"]
    chosen = [*names, *(f"{name}:big" for name in of_one)]
    words = ("dataset.weight=w",) if weighted else ("dataset.drop=[w]",)
    experiment = build(config_of(*LINE, *words, f"metrics=[{','.join(chosen)}]"))
    split, objective = experiment.data.train, experiment.objective
    assert isinstance(objective, Labels)
    output = experiment.learner.predict(split.x)
    got = compute_metrics(objective, output, split).values()
    assert list(got) == ["loss", "label_accuracy", "subset_accuracy", *chosen]
    rows = split.row_numbers - 1
    truth, w = frame[TARGETS].to_numpy()[rows], frame["w"].to_numpy()[rows] if weighted else None
    probability = torch.sigmoid(output.double()).numpy()
    predicted = (probability >= 0.5).astype(int)
    expected = {
        "subset_accuracy": sk.accuracy_score(truth, predicted, sample_weight=w),
        "hamming_loss": sk.hamming_loss(truth, predicted, sample_weight=w),
        "error": sk.hamming_loss(truth, predicted, sample_weight=w),
        "label_accuracy": 1 - sk.hamming_loss(truth, predicted, sample_weight=w),
        "auc": sk.roc_auc_score(truth, probability, average="macro", sample_weight=w),
        "average_precision": sk.average_precision_score(truth, probability, average="macro", sample_weight=w),
        "accuracy:big": sk.accuracy_score(truth[:, 1], predicted[:, 1], sample_weight=w),
        "auc:big": sk.roc_auc_score(truth[:, 1], probability[:, 1], sample_weight=w),
        "average_precision:big": sk.average_precision_score(truth[:, 1], probability[:, 1], sample_weight=w),
    }
    for name, score in {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}.items():
        for prefix, average in (("", "macro"), ("weighted_", "weighted")):
            options = {"average": average, "zero_division": 0, "sample_weight": w}
            expected[prefix + name] = score(truth, predicted, **options)
        expected[f"{name}:big"] = score(truth[:, 1], predicted[:, 1], zero_division=0, sample_weight=w)
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert set(expected) == set(got) - {"loss"}
    loss = torch.nn.BCEWithLogitsLoss(weight=None if w is None else torch.tensor(w / w.mean())[:, None])
    assert got["loss"] == pytest.approx(float(loss(output, torch.tensor(truth).float())), rel=1e-6)


def test_a_label_that_no_row_has_or_is_predicted_for_counts_as_in_scikit_learn():
    truth, predicted = np.array([[1, 0], [0, 0], [1, 0]]), np.array([[1, 0], [1, 0], [0, 0]])
    rows = LabelRows(truth, predicted, np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.3]]))
    assert METRICS["f1"](rows) == sk.f1_score(truth, predicted, average="macro", zero_division=0)
    assert METRICS["auc"](rows) == sk.roc_auc_score(truth[:, 0], [0.9, 0.8, 0.3])  # of the labels that have one


def test_a_run_is_the_plain_loop_and_its_script(
    exp: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    frame = write(tmp_path)
    words = (*LINE, "dataset.drop=[w]", "dataset.scaler=none", "epochs=3", "batching.batch_size=16")
    done = exp(*words, "model=linear", "metrics=[f1]", "early_stopping.patience=null", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert "old, big, sold: 3 labels" in done.stdout
    assert "bce_with_logits() (auto)" in done.stdout

    x, y = (torch.tensor(frame[names].to_numpy(), dtype=torch.float32) for names in (["p", "q", "r", "s"], TARGETS))
    torch.manual_seed(0)
    train, val, _ = torch.utils.data.random_split(range(120), [0.6, 0.2, 0.2])  # pyright: ignore[reportArgumentType]
    torch.manual_seed(0)
    model, loss = torch.nn.Linear(4, 3), torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.0003)
    rows = torch.utils.data.TensorDataset(x[train.indices], y[train.indices])
    losses = [float(loss(model(x[val.indices]), y[val.indices]).detach())]
    for _ in range(3):
        for one, other in torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            loss(model(one), other).backward()
            optimizer.step()
        losses.append(float(loss(model(x[val.indices]), y[val.indices]).detach()))
    with Path("run/metrics.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file) if row["split"] == "val"][:4] == losses

    export("run", format="script", out="script.py")
    capsys.readouterr()
    runpy.run_path("script.py")
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    final = json.loads(Path("run/summary.json").read_text())["final"]
    values = {split: tuple(map(float, measures)) for split, _, *measures in printed}
    assert values["test"] == (final["test"]["loss"], pytest.approx(final["test"]["label_accuracy"], abs=1e-15))

    predict("run", "labels.csv", "out.csv")
    predicted = pd.read_csv("out.csv")
    assert list(predicted) == [f"{what} {name}" for what in ("prediction", "probability") for name in TARGETS]
    assert set(predicted["prediction old"]) == {0, 1}
    metrics = evaluate("run", data="labels.csv").metrics
    expected = sk.f1_score(frame[TARGETS], predicted[predicted.columns[:3]], average="macro")
    assert metrics["f1"] == pytest.approx(expected, rel=1e-9)
    page = Path("run/report.html").read_text()
    assert "rows with it" in page
    assert "probability of the true labels" in page


def test_hardest_rows_and_intervals_are_of_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    experiment = build(config_of(*LINE))
    data, objective = experiment.data, experiment.objective
    output = experiment.learner.predict(data.test.x)
    p = torch.sigmoid(output.double())
    of_row = torch.where(data.test.y > 0.5, p, 1 - p).prod(1)
    how, hardest = hardest_rows(data.test, data, objective, output, 1)
    assert how == "probability of the true labels"
    assert hardest[0].number == data.test.row_numbers[int(of_row.argmin())]
    assert float(hardest[0].how) == pytest.approx(float(of_row.min()), rel=5e-3)
    values = compute_metrics(objective, output, data.test).values()
    for name, (low, high) in confidence_intervals(data.test, objective, output).items():
        assert low < values[name] < high
    odds = objective.log_odds(output)
    assert odds is not None
    torch.testing.assert_close(odds, torch.logit(p))


def test_sums_of_labels_add_up_and_are_kept():
    truth, predicted = torch.tensor([[1, 0], [1, 1], [0, 0]]), torch.tensor([[1, 1], [1, 1], [1, 1]])
    sums = MetricSums(np.array([2.0, 1.0]), np.array([1.0, 0.5]), LabelSum.of_segments(predicted, truth, [2, 1]))
    sums.add_to_first(sums[1:])
    whole = sums.window(0)
    assert whole.values() == {"loss": 0.5, "label_accuracy": 0.5, "subset_accuracy": 1 / 3}
    content = {"count": 3, "loss_sum": 1.5, "score": asdict(whole.score)}
    assert MetricSums.from_dict(content) == whole


def test_a_weight_for_each_label_is_torchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    experiment = build(config_of(*LINE, "loss=bce_with_logits", "+loss.pos_weight=[1,5,2]"))
    split = experiment.data.val
    output = experiment.learner.predict(split.x)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        output, split.y, pos_weight=torch.tensor([1.0, 5, 2])
    )
    assert experiment.learner.evaluate(split).loss == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        ("loss=cross_entropy", "CrossEntropyLoss is no loss of labels", "loss=bce_with_logits"),
        ("loss=mse", "MSELoss is no loss of labels", "loss=bce_with_logits, or dataset.task=regression for a table"),
        ("dataset.task=classes", "several targets are numbers or labels", "dataset.task=labels, or one column"),
        ("dataset.scale_target=true", "this target has labels", "dataset.scale_target=auto"),
        (
            "loss.class_weights=balanced",
            "this dataset's targets are 3 labels",
            "loss=bce_with_logits '+loss.pos_weight=[1,1,1]'",
        ),
        ("loss=bce_with_logits +loss.pos_weight=[1,2]", "one for each of the 3 labels", "'loss.pos_weight=[1,1,1]'"),
        ("metrics=[accuracy]", "accuracy is no metric of labels", "'metrics=[label_accuracy]'"),
        ("metrics=[auc:bigg]", "there is no label 'bigg'", "'metrics=[auc:big]'"),
        ("metrics=[hamming_loss:big]", "metrics must be names", "'metrics=[hamming_loss]'"),
        ("dataset.target=[old,q] dataset.task=labels", "the target 'q' has other values than 0 and 1", "dataset.task="),
        ("dataset.target=old dataset.task=labels", "needs several targets, got", "dataset.task=classes"),
    ],
)
def test_wrong_choices_are_refused(words: str, message: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    with pytest.raises((ConfigError, DataError), match=message) as raised:
        build(config_of(*LINE, *words.split()))
    assert raised.value.fix.startswith(fix)


def test_labels_are_decided_by_the_values_and_the_task(tmp_path: Path):
    write(tmp_path)
    path = str(tmp_path / "labels.csv")
    assert table(path, TARGETS).target_kind == ("labels", tuple(TARGETS))
    assert table(path, TARGETS, "regression").target_kind == ("numbers", tuple(TARGETS))
    assert table(path, ["old", "q"]).target_kind.kind == "numbers"
    x = np.arange(12.0).reshape(6, 2)
    labels = as_dataset((x, np.array([[0, 1], [1, 1]] * 3)))
    assert labels.target_kind == ("labels", ("1", "2"))
    assert as_dataset((x, np.array([[0.0, 1], [1, 1]] * 3))).target_kind.kind == "numbers"
    with pytest.raises(DataError, match="which must be 0 or 1, got 2"):
        as_dataset((x, np.array([[0, 1], [1, 2]] * 3)))


def test_one_target_of_several_numbers_has_metrics_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    frame = write(tmp_path)
    words = ("dataset.target=[q,r]", "metrics=[rmse:q,r2:r,mae:r]", "metric=r2:r")
    experiment = build(config_of(*LINE[:2], *words))
    split = experiment.data.train
    predicted = experiment.objective.prediction(experiment.learner.predict(split.x)).numpy()
    truth = frame[["q", "r"]].to_numpy()[split.row_numbers - 1]
    got = experiment.learner.evaluate(split).values()
    assert got["rmse:q"] == pytest.approx(sk.root_mean_squared_error(truth[:, 0], predicted[:, 0]), rel=1e-6)
    assert got["r2:r"] == pytest.approx(sk.r2_score(truth[:, 1], predicted[:, 1]), rel=1e-6)
    assert got["mae:r"] == pytest.approx(sk.mean_absolute_error(truth[:, 1], predicted[:, 1]), rel=1e-6)
