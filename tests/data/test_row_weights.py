"""dataset.weight: the references are scikit-learn's metrics with sample_weight, and runs without weights."""

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps, one_in
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from sklearn.utils.class_weight import compute_class_weight

from exp.data.row_weights import pack, unpack
from exp.errors import ExpError
from exp.reports.intervals import confidence_intervals, row_losses
from exp.training.baseline import compute_baseline
from exp.training.build import Experiment, build
from exp.training.loop import Training


def people(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(2, rows)).round(4)
    return pd.DataFrame(
        {
            "a": a,
            "b": b,
            "ill": np.where(a + b + draw.normal(size=rows) > 1, "yes", "no"),
            "price": (50 + 9 * a + draw.normal(size=rows)).round(3),
            "w": draw.choice([0.5, 1, 2, 7.25], rows),
        }
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    people().to_csv("people.csv", index=False)
    return tmp_path


def words_of(target: str, *more: str) -> list[str]:
    drop = {"ill": "price", "price": "ill"}[target]
    given = [f"dataset.target={target}", f"dataset.drop=[{drop}]"]
    return ["dataset=table", "dataset.path=people.csv", "dataset.weight=w", *given, "epochs=5", "threads=1", *more]


def final(experiment: Experiment) -> dict[str, dict[str, float]]:
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return {event.split: event.metrics.values() for event in list_evaluations(events)}


@pytest.mark.parametrize(
    ("class_weights", "loss"),
    one_in(3, [*product(["null", "balanced", "{yes: 20}"], ["cross_entropy", "bce_with_logits"])]),
)
def test_metrics_of_classes_are_those_of_scikit_learn(loss: str, class_weights: str):
    experiment = build(config_of(*words_of("ill", f"loss={loss}", f"loss.class_weights={class_weights}")))
    assert experiment.data.features == ("a", "b")
    values, frame = final(experiment), people()
    train = frame.iloc[experiment.data.train.row_numbers - 1]
    of_class = {
        "null": [1.0, 1.0],
        "balanced": compute_class_weight(
            "balanced", classes=np.array(["no", "yes"]), y=train["ill"].to_numpy(), sample_weight=train["w"].to_numpy()
        ),
        "{yes: 20}": [1.0, 20.0],
    }[class_weights]
    if class_weights == "balanced":
        assert experiment.data.preprocessing.class_weights == pytest.approx(tuple(of_class), rel=1e-6)
    for name, split in experiment.data.splits.items():
        rows = frame.iloc[split.row_numbers - 1]
        probabilities = experiment.objective.probabilities(experiment.learner.predict(split.x).double())
        assert probabilities is not None
        y, w = (rows["ill"] == "yes").to_numpy(int), rows["w"].to_numpy()
        expected = log_loss(y, probabilities.numpy(), sample_weight=w * np.take(of_class, y))
        assert values[name]["loss"] == pytest.approx(expected, rel=1e-6)
        accuracy = accuracy_score(y, probabilities.numpy().argmax(1), sample_weight=w)
        assert values[name]["accuracy"] == pytest.approx(accuracy, rel=1e-6)


@pytest.mark.parametrize("scale", ["auto", "log", "false"])
def test_metrics_of_numbers_are_those_of_scikit_learn(scale: str):
    experiment = build(config_of(*words_of("price", f"dataset.scale_target={scale}", "optimizer.lr=0.01")))
    values, frame = final(experiment), people()
    for name, split in experiment.data.splits.items():
        rows = frame.iloc[split.row_numbers - 1]
        y, w = rows["price"].to_numpy(), rows["w"].to_numpy()
        output = experiment.learner.predict(split.x)
        predicted = experiment.objective.prediction(output).double().numpy()[:, 0]
        expected = math.sqrt(mean_squared_error(y, predicted, sample_weight=w))
        assert values[name]["rmse"] == pytest.approx(expected, rel=1e-6)
        assert values[name]["r2"] == pytest.approx(r2_score(y, predicted, sample_weight=w), rel=1e-5)
        loss = mean_squared_error(split.y.numpy(), output.numpy(), sample_weight=w)
        assert values[name]["loss"] == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("target", ["ill", pytest.param("price", marks=pytest.mark.slow)])
def test_windows_add_weighted_sums_and_weights(target: str):
    def trained(every: int) -> list[Any]:
        e = build(config_of(*words_of(target, f"log_every={every}", "batching.batch_size=9", "eval_every=1epoch")))
        events = Training(e.learner, e.batches, e.data, e.plan)
        return [step.metrics for step in logged_steps(events)]

    single, joint = trained(1), trained(14)
    for start, window in zip(range(0, 70, 14), joint, strict=True):
        parts = single[start : start + 14]
        weights = [part.weight for part in parts]
        assert window.loss == pytest.approx(np.average([part.loss for part in parts], weights=weights), rel=1e-12)
        other = "accuracy" if target == "ill" else "r2"
        expected = np.average([p.values()[other] for p in parts], weights=[p.score.count for p in parts])
        assert window.values()[other] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("target", ["ill", "price"])
def test_a_weight_of_2_is_a_row_twice(target: str):
    """On a full batch, where a loss does not depend on the order, and without means and quantiles of the rows."""
    frame = people().assign(w=np.random.default_rng(3).integers(1, 4, 200), part=["train", "val", "test", "train"] * 50)
    frame.to_csv("people.csv", index=False)
    frame.loc[frame.index.repeat(frame["w"])].drop(columns="w").to_csv("repeated.csv", index=False)
    same = ["dataset.scaler=none", "dataset.scale_target=false", "model.embedding=null", "model.dropout=0"]
    options = ["dataset.split_column=part", "batching=full", *same]
    weighted = final(build(config_of(*words_of(target, *options))))
    repeated = [*words_of(target, *options), "dataset.path=repeated.csv", "dataset.weight=null"]
    for name, values in final(build(config_of(*repeated))).items():
        assert weighted[name] == pytest.approx(values, rel=1e-5)


def test_a_row_that_weighs_0_is_left_out():
    frame = people().assign(part=["train", "val", "test", "train"] * 50)
    kept = frame["a"] > -0.5
    frame.assign(w=frame["w"] * kept).to_csv("people.csv", index=False)
    first = build(config_of(*words_of("ill", "dataset.split_column=part")))
    values = final(first)
    frame[kept].to_csv("people.csv", index=False)
    second = build(config_of(*words_of("ill", "dataset.split_column=part")))
    assert f"left out {int((~kept).sum())} rows of 200: their weight, w, is 0" in first.data.notes
    assert first.data.train.row_numbers.tolist() == (np.flatnonzero(kept & (frame["part"] == "train")) + 1).tolist()
    assert values == final(second)


def test_other_files_have_weights_too():
    people(40, seed=1).to_csv("test.csv", index=False)
    people(30, seed=2).to_csv("val.csv", index=False)
    data = build(config_of(*words_of("ill", "dataset.test_path=test.csv", "dataset.val_path=val.csv"))).data
    assert data.test.weights is not None
    assert data.val.weights is not None
    assert data.test.weights.tolist() == people(40, seed=1)["w"].tolist()
    assert data.val.weights.tolist() == people(30, seed=2)["w"].tolist()


def test_the_baseline_and_the_intervals_are_weighted():
    experiment = build(config_of(*words_of("ill")))
    split, frame = experiment.data.test, people()
    rows, train = (frame.iloc[part.row_numbers - 1] for part in (split, experiment.data.train))
    guess = train.groupby("ill")["w"].sum().idxmax()
    baseline = compute_baseline(experiment.objective, experiment.data, "test")
    assert baseline.metrics["accuracy"] == pytest.approx(
        accuracy_score(rows["ill"], [guess] * len(rows), sample_weight=rows["w"])
    )
    output = experiment.learner.predict(split.x)
    values = experiment.learner.evaluate(split).values()
    for name, (low, high) in confidence_intervals(split, experiment.objective, output).items():
        assert low < values[name] < high
    losses = row_losses(experiment.objective.criterion, output, split.target)
    assert losses is not None
    assert np.average(losses, weights=rows["w"]) == pytest.approx(values["loss"], rel=1e-6)
    numeric = build(config_of(*words_of("price")))
    train = frame.iloc[numeric.data.train.row_numbers - 1]
    rows = frame.iloc[numeric.data.test.row_numbers - 1]
    mean = np.average(train["price"], weights=train["w"])
    expected = math.sqrt(mean_squared_error(rows["price"], np.full(len(rows), mean), sample_weight=rows["w"]))
    assert compute_baseline(numeric.objective, numeric.data, "test").metrics["rmse"] == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("target", ["ill", "price"])
def test_equal_weights_give_the_intervals_of_no_weights(target: str):
    people().assign(w=3).to_csv("people.csv", index=False)
    weighted = build(config_of(*words_of(target)))
    plain = build(
        config_of(*words_of(target, "dataset.weight=null", f"dataset.drop=[w,{'price' if target == 'ill' else 'ill'}]"))
    )
    found, expected = (
        confidence_intervals(e.data.test, e.objective, weighted.learner.predict(weighted.data.test.x))
        for e in (weighted, plain)
    )
    assert found == {name: pytest.approx(interval, rel=1e-5) for name, interval in expected.items()}


@pytest.mark.slow
def test_an_evaluation_of_new_rows_uses_their_weights_or_says_that_there_are_none(exp: Any):
    arguments = [*words_of("ill", "loss.class_weights=balanced"), "figures=false", "hydra.run.dir=run"]
    assert exp(*arguments).returncode == 0
    new = people(60, seed=5)
    new.to_csv("new.csv", index=False)
    new.drop(columns="w").to_csv("plain.csv", index=False)
    new.assign(w=-1).to_csv("bad.csv", index=False)
    done = exp("evaluate", "run=run", "data=new.csv")
    plain = exp("evaluate", "run=run", "data=plain.csv")
    assert "no column 'w' with weights: every row weighs 1" in plain.stdout
    assert exp("predict", "run=run", "data=plain.csv", "out=predicted.csv").returncode == 0
    predicted = pd.read_csv("predicted.csv")["prediction"]
    for answer, w in ((done, new["w"]), (plain, None)):
        accuracy = accuracy_score(new["ill"], predicted, sample_weight=w)
        assert float(answer.stdout.split()[-1]) == pytest.approx(accuracy, rel=1e-6)
    bad = exp("evaluate", "run=run", "data=bad.csv")
    assert bad.returncode == 1
    assert "data=bad.csv, weight 'w': row 1 has -1" in bad.stderr


@pytest.mark.parametrize(
    ("change", "words", "message", "fix"),
    [
        ({}, ["dataset.weight=wt"], "dataset.weight=wt: people.csv has no column 'wt'", "dataset.weight=w"),
        ({}, ["dataset.weight=ill"], "this column is the target", "another column as dataset.weight"),
        ({}, ["dataset.weight=price", "dataset.drop=[]"], "row 3 has -4", "a number >= 0 in every row"),
        ({"w": -1.0}, [], "dataset.weight=w: row 1 has -1", "a number >= 0 in every row"),
        ({"w": np.nan}, [], "dataset.weight=w: row 1 has no number", "'dataset.missing={w: drop}'"),
        ({"w": 0.0}, [], "dataset.weight=w: the weight is 0 in every row", "a column with numbers > 0"),
        ({"w": "heavy"}, [], "its cells are not numbers, such as 'heavy'", "a column of numbers >= 0"),
        ({"w": 1e40}, [], "row 1 has 1e+40", "a number >= 0 in every row"),
        ({}, ["batching=online"], "weights have no effect", "batching=minibatch"),
    ],
)
def test_weights_that_mean_nothing_are_refused(change: dict[str, Any], words: list[str], message: str, fix: str):
    frame = people().assign(**change)
    frame.loc[2, "price"] = -4
    frame.to_csv("people.csv", index=False)
    with pytest.raises(ExpError) as error:
        build(config_of(*words_of("ill"), *words))
    assert message in str(error.value)
    assert fix in str(error.value.fix)


def test_a_row_without_a_weight_is_named_by_its_file():
    people(40, seed=1).assign(w=[1.0] * 5 + [np.nan] * 35).to_csv("test.csv", index=False)
    with pytest.raises(ExpError, match=r"row 6 of dataset\.test_path has no number"):
        build(config_of(*words_of("ill", "dataset.test_path=test.csv")))
    data = build(config_of(*words_of("ill", "dataset.test_path=test.csv", "dataset.missing={w: drop}"))).data
    assert len(data.test) == 5


@pytest.mark.parametrize("y", [torch.tensor([2, 0, 2**24]), torch.randn(3, 1), torch.randn(3, 4)])
def test_packed_targets_keep_their_bits(y: torch.Tensor):
    weights = torch.tensor([1e-30, 0.1, 3e29])
    again, of_row = unpack(pack(y, weights), has_class_numbers=y.ndim == 1)
    assert torch.equal(again, y)
    assert torch.equal(of_row, weights)
    assert again.is_contiguous()
    assert of_row.is_contiguous()
