"""Which of two runs is better on the same rows, and whether that is noise; the last lines of `exp diff`."""

import json
import shutil
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
import torch
from scipy import stats

from exp import train
from exp.diff import describe_comparison
from exp.errors import DataError
from exp.reports.paired import PairedComparison, compare_models, compare_rows
from exp.results import checkpoints


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, *words in (
        ("slow", "dataset=iris", "optimizer.lr=0.001"),
        ("fast", "dataset=iris", "optimizer.lr=0.1"),
        ("hits", "dataset=iris", "optimizer.lr=0.1", "metric=accuracy"),
        ("other_rows", "dataset=iris", "seed=1"),
        ("numbers", "dataset=diabetes", "metric=rmse"),
        ("mean", "dataset=diabetes", "metric=rmse", "optimizer.lr=0.0001"),
    ):
        train(*words, "epochs=3", "figures=false", f"hydra.run.dir={folder}/{name}")
    return folder


def predictions(folder: Path, name: str) -> Any:
    """Predictions or probabilities of the test rows, and their targets, by the public functions."""
    from exp import load

    trained = load(folder / name).trained
    split = trained.split("test")
    columns = trained.columns_of(trained.outputs_of(split))
    return columns, split


def test_the_test_is_scipys_over_the_losses_of_the_test_rows(runs: Path):
    found = compare_models(runs / "slow", runs / "fast")
    losses = []
    for name in ("slow", "fast"):
        columns, split = predictions(runs, name)
        table = np.array([values for key, values in columns.items() if key.startswith("probability")]).T
        losses.append(-np.log(table[np.arange(len(table)), split.y.numpy().astype(int)]))
    expected = stats.ttest_rel(losses[1], losses[0])
    interval = expected.confidence_interval(0.95)
    assert (found.split, found.rows, found.measure, found.better) == ("test", 30, "loss", 1)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-3)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-4)
    final = [json.loads((runs / name / "summary.json").read_text())["final"]["test"] for name in ("slow", "fast")]
    assert found.values == pytest.approx([one["loss"] for one in final], rel=1e-5)
    assert not found.is_noise


def test_runs_whose_metrics_differ_are_compared_by_their_hits(runs: Path):
    found = compare_models(runs / "hits", runs / "slow")
    final = [json.loads((runs / name / "summary.json").read_text())["final"]["test"] for name in ("hits", "slow")]
    assert found.measure == "accuracy"
    assert found.values == pytest.approx([one["accuracy"] for one in final])
    assert found.better == 0


def test_numbers_are_compared_by_their_squared_errors(runs: Path):
    found = compare_models(runs / "numbers", runs / "mean")
    final = [json.loads((runs / name / "summary.json").read_text())["final"]["test"] for name in ("numbers", "mean")]
    assert found.measure == "squared error"
    assert np.sqrt(found.values) == pytest.approx([one["rmse"] for one in final], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "words", "measure"),
    [
        ("logit", ["dataset=xor", "model=mlp"], "accuracy"),
        ("scaled", ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "model=linear"], "squared error"),
    ],
)
def test_another_loss_or_scale_has_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: list[str], measure: str
):
    """The targets of another loss have another shape, and those of another scale another type."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(40, 2)).round(3)
    text = "".join(f"{a},{100 * a + b:.3f}\n" for a, b in rows)
    (tmp_path / "t.csv").write_text(f"x,y\n{text}")
    ways = ["loss=cross_entropy", "loss=bce_with_logits"]
    ways = ways if name == "logit" else [f"dataset.scale_target={value}" for value in ("true", "false")]
    for number, way in enumerate(ways):
        line = [*words, way, "epochs=2", "figures=false", f"hydra.run.dir={number}"]
        assert forking.run("exp", line, tmp_path).returncode == 0
    found = compare_models(tmp_path / "0", tmp_path / "1")
    final = [json.loads((tmp_path / run / "summary.json").read_text())["final"]["test"] for run in "01"]
    assert found.measure == measure
    key, power = ("accuracy", 1) if measure == "accuracy" else ("rmse", 2)
    assert found.values == pytest.approx([one[key] ** power for one in final], rel=1e-4)


def test_equal_models_are_neither_better(runs: Path):
    found = compare_models(runs / "fast", runs / "fast")
    assert (found.better, found.interval, found.p, found.is_noise) == (None, None, None, True)
    assert describe_comparison(found, ("a", "b")).startswith("neither: loss of 30 test rows: ")


def test_models_that_differ_by_rounding_are_neither_better(runs: Path, tmp_path: Path):
    """As where engine=compiled made the steps of one: the rows' losses differ, by a few units in their last place."""
    shutil.copytree(runs / "fast", tmp_path / "fast")
    checkpoint = tmp_path / "fast/checkpoints/last.pt"
    state = checkpoints.read(checkpoint)
    for tensor in state["model"].values():
        tensor.copy_(torch.nextafter(tensor, torch.tensor(torch.inf)))
    checkpoints.write(checkpoint, state)
    found = compare_models(runs / "fast", tmp_path / "fast")
    assert found.values[0] != found.values[1]
    assert found.values[0] == pytest.approx(found.values[1], rel=1e-6)
    assert (found.better, found.interval, found.p, found.is_noise) == (None, None, None, True)
    assert describe_comparison(found, ("a", "b")).startswith("neither: loss of 30 test rows: ")


def test_rows_that_all_differ_alike_have_no_interval():
    """A test needs the spread that an interval has: without the one there is not the other."""
    first = [1.0, 2.0, 3.0]
    found = compare_rows("test", "loss", first, [one + 0.5 for one in first])
    assert (found.better, found.interval, found.p) == (0, None, None)
    assert describe_comparison(found, ("a", "b")).endswith("they all differ alike")


def test_other_rows_are_not_compared(runs: Path):
    with pytest.raises(DataError, match="their test rows are not the same ones"):
        compare_models(runs / "fast", runs / "other_rows")
    done = forking.run("exp", ["diff", "fast", "other_rows"], runs)
    assert done.returncode == 1
    assert done.stdout.endswith("better     not known: their test rows are not the same ones\n")


def test_diff_ends_with_the_final_metrics_and_what_is_better(runs: Path):
    done = forking.run("exp", ["diff", "slow", "fast", "--json"], runs)
    found = json.loads(done.stdout)
    assert (done.returncode, found["identical"], found["comparison"]["better"]) == (1, False, "fast")
    final = [json.loads((runs / name / "summary.json").read_text())["final"] for name in ("slow", "fast")]
    assert found["final"]["val"]["accuracy"] == [one["val"]["accuracy"] for one in final]
    text = forking.run("exp", ["diff", "slow", "fast"], runs).stdout.splitlines()
    assert text[-1].startswith("better     fast, by the loss of 30 test rows: ")
    assert "is more than noise (paired t-test over the rows, p = " in text[-1]
    assert any(line.split()[:2] == ["test", "accuracy"] for line in text)


@pytest.mark.parametrize(("values", "interval"), [((0.5, 0.75), (0.125, 0.375)), ((0.75, 0.5), (-0.375, -0.125))])
def test_the_difference_is_told_as_an_advantage(values: tuple[float, float], interval: tuple[float, float]):
    found = PairedComparison("test", 8, "accuracy", values, int(values[1] > values[0]), interval, 0.2)
    sentence = describe_comparison(found, ("a", "b"))
    assert "75.00 % against 50.00 %" in sentence
    assert "the difference of 25 points (95 % interval 12.5 to 37.5) may be noise" in sentence
