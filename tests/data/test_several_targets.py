"""Several target columns of numbers. The references are arrays of the same numbers, and scikit-learn's metrics."""

import csv
import math
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import config_of, list_evaluations
from sklearn.metrics import mean_squared_error, r2_score

from exp.data.encode import encode_new_targets
from exp.data.files import table
from exp.data.preprocessing import Preprocessing
from exp.errors import ConfigError, DataError
from exp.evaluate import evaluate
from exp.export import export
from exp.predict import predict
from exp.training.build import Experiment, build
from exp.training.loop import Training

WORDS = ("model=mlp", "epochs=4", "batching.batch_size=16", "threads=1")


def write(folder: Path, rows: int = 90) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 3))
    y = x @ draw.normal(size=(3, 2)) * [1000, 0.1] + [5000, 0]
    frame = pd.DataFrame(np.concatenate([x, y], axis=1), columns=["p", "q", "r", "price", "area"])
    frame.to_csv(folder / "two.csv", index=False)
    np.savez(folder / "two.npz", x=frame[["p", "q", "r"]].to_numpy(), y=frame[["price", "area"]].to_numpy())
    return frame


def of_table(*words: str) -> Experiment:
    return build(config_of("dataset=table", "dataset.path=two.csv", "dataset.target=[price,area]", *WORDS, *words))


def final(experiment: Experiment) -> dict[str, dict[str, float]]:
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return {event.split: event.metrics.values() for event in list_evaluations(events)}


def test_targets_of_a_table_train_as_those_of_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    ours = of_table()
    results = final(ours)
    theirs = build(config_of("dataset=arrays", "dataset.path=two.npz", "model=tabm", "optimizer=tabular_adamw", *WORDS))
    assert ours.data.preprocessing.target_names == ("price", "area")
    assert theirs.data.preprocessing.target_names == ("1", "2")
    assert results == final(theirs)


def test_a_run_predicts_evaluates_and_exports_every_target(
    exp: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    frame = write(tmp_path)
    done = exp("dataset=table", "dataset.path=two.csv", "dataset.target=[price,area]", *WORDS, "hydra.run.dir=run")
    assert "price, area: regression of 2 values" in done.stdout
    predict("run", "two.csv", "out.csv")
    predicted = pd.read_csv("out.csv")
    assert list(predicted) == ["prediction price", "prediction area"]
    truth = frame[["price", "area"]].to_numpy()
    values = evaluate("run", data="two.csv").metrics
    assert math.isclose(values["r2"], r2_score(truth, predicted), rel_tol=1e-5)
    assert math.isclose(values["rmse"], math.sqrt(mean_squared_error(truth, predicted)), rel_tol=1e-5)
    export("run", format="script", out="script.py")
    capsys.readouterr()
    runpy.run_path("script.py")
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    with Path("run/metrics.csv").open() as file:
        losses = {(row["split"], row["step"]): float(row["loss"]) for row in csv.DictReader(file)}
    validation = [(step, float(loss)) for split, step, loss, _ in printed if split == "val"]
    assert validation == [(step, losses["val", step]) for step, _ in validation]


def test_the_targets_of_folds_have_their_names(exp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path):
    frame = write(tmp_path)
    words = ("dataset=table", "dataset.path=two.csv", "dataset.target=[price,area]", *WORDS)
    exp("-m", *words, "folds=3", "figures=false", "sweep.workers=0", "hydra.sweep.dir=s")
    rows = pd.read_csv(tmp_path / "s/predictions.csv")
    assert list(rows) == ["row", "fold", "target price", "target area", "prediction price", "prediction area"]
    assert rows["target area"].tolist() == frame["area"].tolist()


def test_booleans_and_codes_among_the_targets_are_numbers(tmp_path: Path):
    frame = write(tmp_path)
    frame["sold"] = np.where(frame["p"] > 0, "yes", "no")
    frame["rank"] = np.arange(90) % 3
    frame.to_csv(tmp_path / "two.csv", index=False)
    dataset = table(str(tmp_path / "two.csv"), ["sold", 3, "rank"])
    expected = np.stack([frame["p"] > 0, frame["price"], np.arange(90) % 3], axis=1)
    np.testing.assert_array_equal(dataset.y, expected)
    assert dataset.classes is None
    assert dataset.target == "sold, price, rank"


def test_a_row_without_one_of_the_targets_is_left_out(tmp_path: Path):
    frame = write(tmp_path)
    frame.loc[2, "price"], frame.loc[[2, 5], "area"] = math.nan, math.nan
    frame.to_csv(tmp_path / "two.csv", index=False)
    dataset = table(str(tmp_path / "two.csv"), ["price", "area"])
    assert len(dataset.x) == 88
    assert dataset.notes == ("left out 2 of 90 rows: price or area is empty",)
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(50), "none")
    again = Preprocessing.from_json(preprocessing.to_json())
    assert again == preprocessing
    y, is_present, notes = encode_new_targets(frame, again, "new.csv")
    assert np.flatnonzero(~is_present).tolist() == [2, 5]
    assert notes == ["2 rows without price or area: skipped"]
    np.testing.assert_array_equal(y[is_present], dataset.y)


def test_the_notation_of_each_target_is_kept(tmp_path: Path):
    frame = write(tmp_path)
    frame["price"] = [f"${value:,.2f}" for value in frame["price"]]
    frame.to_csv(tmp_path / "two.csv", index=False)
    dataset = table(str(tmp_path / "two.csv"), ["area", "price"])
    assert [target.notation.prefix for target in dataset.targets] == ["", "$"]
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(50), "none")
    again = Preprocessing.from_json(preprocessing.to_json())
    assert again == preprocessing
    assert again.text_columns(None) == ["price"]


def test_a_copy_of_any_target_is_left_out(tmp_path: Path):
    frame = write(tmp_path)
    frame["euros"] = frame["area"] * 2 + 1
    frame.to_csv(tmp_path / "two.csv", index=False)
    dataset = table(str(tmp_path / "two.csv"), ["price", "area"])
    assert "left out column euros: it repeats the target 'area'; to use it: 'dataset.kinds={euros: number}'" in (
        dataset.notes
    )


@pytest.mark.parametrize(
    ("target", "task", "message", "fix"),
    [
        (["price", "are"], "auto", "target=are: two.csv has no column 'are'", "'dataset.target=[price,area]'"),
        (["price", "price"], "auto", r"target=\[price,price\]: a column is named twice", "'dataset.target=[price]'"),
        ([], "auto", r"dataset.target=\[\]: no column is named", "'dataset.target=[word]'"),
        (["price", "word"], "auto", "targets must be numbers, and 'word' is not", "one column as dataset.target, or"),
        (
            ["price", "area"],
            "classes",
            "several targets are numbers or labels",
            "dataset.task=labels, or",
        ),
    ],
)
def test_wrong_targets_are_refused(
    target: list[str], task: str, message: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    frame = write(tmp_path)
    frame["word"] = [f"w{row % 7}" for row in range(90)]
    frame.to_csv("two.csv", index=False)
    with pytest.raises((ConfigError, DataError), match=message) as raised:
        table("two.csv", target, task)
    assert raised.value.fix.startswith(fix)


def test_one_name_in_a_list_is_one_target(tmp_path: Path):
    write(tmp_path)
    one, other = (table(str(tmp_path / "two.csv"), target) for target in (["price"], "price"))
    assert one.fingerprint == other.fingerprint
    assert one.targets == ()
    assert one.target == "price"
