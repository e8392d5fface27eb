"""`from exp import train, sweep, load`: the numbers and files of the command line, and the caller's state unchanged."""

import gc
import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris

import exp as package
from exp import load, sweep, train
from exp.cli.python_calls import to_overrides
from exp.cli.python_objects import split_objects
from exp.config.flow_values import readable
from exp.config.overrides import reads_as
from exp.errors import ExpError
from exp.result import Result
from exp.results.compare_runs import find_differences

ARGUMENTS = ["dataset=iris", "optimizer.lr=0.1"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def test_a_list_is_the_values_of_a_sweep_unless_the_key_takes_a_list():
    values = {"seed": [0, 1], "optimizer.lr": (0.1, 0.2), "model.hidden": [4, 4], "dataset": ["xor", "moons"]}
    overrides = ["seed=0,1", "optimizer.lr=0.1,0.2", "model.hidden=[4,4]", "dataset=xor,moons"]
    assert to_overrides("sweep", (), values) == overrides
    assert to_overrides("train", (), {"model.hidden": (4, 4)}) == ["model.hidden=[4,4]"]
    assert to_overrides("train", (), {"dataset__split": np.array([0.5, 0.25])}) == ["dataset.split=[0.5,0.25]"]


def test_an_array_has_the_values_of_a_sweep_and_a_text_with_commas_is_one_of_them():
    values = {"optimizer__lr": np.logspace(-2, -1, 2), "epochs": np.arange(1, 3), "seed": torch.arange(2)}
    assert to_overrides("sweep", (), values) == ["optimizer.lr=0.01,0.1", "epochs=1,2", "seed=0,1"]
    values = {"dataset__path": ["a, b.csv", "c.csv"], "model__hidden": np.array([[4, 4], [8, 8]])}
    assert to_overrides("sweep", (), values) == ['dataset.path="a, b.csv",c.csv', "model.hidden=[4,4],[8,8]"]
    files = {"dataset__path": [Path("a,b.csv"), Path("c.csv")], "optimizer__lr": ["0.1", None]}
    assert to_overrides("sweep", (), files) == ['dataset.path="a,b.csv",c.csv', "optimizer.lr=0.1,null"]
    with pytest.raises(ExpError, match=r"epochs=\[\]: a sweep needs a value of each key"):
        to_overrides("sweep", (), {"epochs": []})
    assert to_overrides("sweep", (), {"metrics": []}) == ["metrics=[]"]


def test_a_list_of_datasets_or_models_has_names_of_options():
    """Two names were taken for a pair of arrays, x and y."""
    for names in (["moons", "xor"], ("moons", "xor", "iris")):
        found = split_objects((), {"dataset": names, "model": ["mlp", "linear"]})
        assert found.values == {"dataset": names, "model": ["mlp", "linear"]}
    with pytest.raises(ExpError, match="model: a list with a module"):
        split_objects((), {"model": [torch.nn.Linear(2, 2), "mlp"]})


@pytest.mark.parametrize(
    "value",
    [
        {"yes": 3, "no": 0.5},
        {"a b": "category", "x, y: (z)": "null"},
        {2: 2, True: 3, "c": [1, "b,c", "é"]},
        ["Area, m2", "a'b", 'c"d', "null", "${x}"],
        {"weights": {"high": 1e-3}, "none": None},
    ],
)
def test_mappings_and_lists_are_read_as_they_are(value: Any):
    for function in ("train", "sweep"):
        given = [value] if function == "sweep" else value  # the values of a sweep
        (word,) = to_overrides(function, (), {"loss__class_weights": given})
        assert reads_as(word.removeprefix("loss.class_weights=")) == value


@pytest.mark.parametrize(
    ("key", "value", "problem", "fix"),
    [
        (
            "loss",
            torch.nn.CrossEntropyLoss(label_smoothing=0.1),
            "an object of CrossEntropyLoss",
            "'cross_entropy'; or '--config-dir=my_conf'",
        ),
        ("optimizer", torch.optim.SGD, "SGD: optimizer takes a name", "optimizer='sgd'; or"),
        ("optimizer", torch.optim.Adam([torch.zeros(1)]), "an object of Adam", "optimizer='adam'; or"),
        ("scheduler", torch.optim.lr_scheduler.OneCycleLR, "OneCycleLR", "scheduler='one_cycle'"),
        ("metrics", ["f1", re.escape], "escape: metrics takes a name", "metrics=['re.escape'] of a file"),
        ("loss__weight", re.escape, "loss.weight", "loss.weight=VALUE, a number"),
    ],
)
def test_an_object_that_no_override_can_name_is_refused(key: str, value: Any, problem: str, fix: str):
    with pytest.raises(ExpError, match="takes a name, and no object") as refused:
        to_overrides("train", (), {key: value})
    assert problem in refused.value.problem
    assert fix in refused.value.fix
    assert "0x" not in str(refused.value)


def test_a_key_that_no_override_can_have_is_refused():
    with pytest.raises(ExpError, match="no override can have such a key"):
        to_overrides("train", (), {"loss__class_weights": {"${é}": 2}})
    (word,) = to_overrides("train", (), {"loss__class_weights": {"é": 2}})
    assert reads_as(readable(word).removeprefix("loss.class_weights=")) == {"é": 2}


def test_a_run_equals_that_of_the_command_line(exp, tmp_path: Path):
    result = train(*ARGUMENTS, epochs=3)
    assert result.folder.parent.parent == tmp_path / "outputs"
    assert exp(*ARGUMENTS, "epochs=3", "hydra.run.dir=typed").returncode == 0
    assert list(find_differences(result.folder, tmp_path / "typed")) == []
    ours, theirs = (
        {str(path.relative_to(run)) for path in run.rglob("*") if "tfevents" not in path.name}
        for run in (result.folder, tmp_path / "typed")
    )
    assert ours == theirs
    assert result.final["test"] == load("typed").final["test"]
    assert len(result.metrics) == len(load(tmp_path / "typed").metrics)
    assert [path.stem for path in result.figures] == ["confusion_matrix", "learning_curves", "scores"]
    assert result._repr_html_().count("data:image/png;base64,") == 3
    assert f"{result.final['test']['loss']:.4g}" in result._repr_html_()


def test_final_metrics_that_json_has_as_words_are_numbers(tmp_path: Path):
    (tmp_path / "summary.json").write_text('{"final": {"test": {"rmse": "inf", "r2": "nan", "loss": 0.5}}}')
    final = Result(tmp_path).final["test"]
    assert (final["rmse"], final["loss"]) == (float("inf"), 0.5)
    assert final["r2"] != final["r2"]


def test_predictions_of_arrays_and_frames():
    result = train(*ARGUMENTS, epochs=30, figures=False)
    iris = load_iris(as_frame=True)
    predictions = result.predict(iris.data)
    assert list(predictions) == ["prediction", *(f"probability {name}" for name in iris.target_names)]
    by_array = result.predict(iris.data.to_numpy())
    assert list(predictions["prediction"]) == list(by_array["prediction"])
    right = np.mean(np.array(iris.target_names)[iris.target] == predictions["prediction"])
    assert right > 0.9
    kept = result.trained.preprocessing
    with torch.no_grad():
        outputs = result.model(torch.tensor(kept.transform(iris.data.to_numpy()), dtype=torch.float32))
    assert np.allclose(outputs.softmax(1)[:, 0].numpy(), predictions["probability setosa"])
    gap = result.predict(iris.data.assign(**{"petal width (cm)": [float("nan"), *iris.data["petal width (cm)"][1:]]}))
    assert gap["prediction"].isna().tolist() == [True, *[False] * 149]
    assert list(gap["prediction"][1:]) == list(predictions["prediction"][1:])
    twice = iris.data.assign(**{"petal width (cm)": [float("nan"), *iris.data["petal width (cm)"][1:]]}).iloc[[0, 1, 1]]
    pd.testing.assert_frame_equal(result.predict(twice), gap.iloc[[0, 1, 1]])
    for wrong in ([[float("nan")] * 4], [["a"] * 4], {"a": 1}):
        with pytest.raises(ExpError, match="rows"):
            result.predict(wrong)
    with pytest.raises(ExpError, match=r"rows must have the shape \[N, 4\], got \[150, 3\]"):
        result.predict(iris.data.to_numpy()[:, :3])


def test_a_missing_metric_is_an_empty_cell_of_the_html_table(tmp_path: Path):
    """A single test row has no variance, and so no R^2."""
    result = train("dataset=diabetes", "dataset.split=[438,3,1]", "optimizer.lr=0.0001", epochs=1, figures=False)
    assert "r2" not in result.final["test"]
    cell = result._repr_html_()
    (test,) = re.findall("<tr><td>test</td>(.*?)</tr>", cell)
    loss, rmse = (f"{result.final['test'][name]:.4g}" for name in ("loss", "rmse"))
    assert test == f"<td>{loss}</td><td>{rmse}</td><td></td>"
    assert re.findall(r"<tr><td>([^<]+)</td><td>", cell)[:3] == ["train", "val", "test"]
    assert repr(result) == f"Result('{result.folder.relative_to(tmp_path)}')"
    assert str(tmp_path) not in result._repr_html_()
    assert (page := result.report()) == result.folder / "report.html"
    assert page.is_file()


def test_a_sweep_has_a_table_seeds_and_runs():
    result = sweep(
        "dataset=moons", "optimizer.lr=0.01,0.1", "seed=range(0,2)", "sweep.workers=0", epochs=2, figures=False
    )
    assert list(result.table["status"]) == ["finished"] * 4
    assert list(result.seeds["n"]) == [2, 2]
    better = result.seeds.loc[result.seeds["loss/val"].idxmin()]
    assert re.search(
        rf"<td>{better['optimizer.lr']}</td><td>2</td><td>maybe</td><td>{better['loss/val']:.4g} ±",
        result._repr_html_(),
    )
    assert result.runs["3"].final["val"]["loss"] == result.table["loss/val"][3]
    failed = sweep("dataset=moons", "batching.batch_size=10,100000", "sweep.workers=0", epochs=1, figures=False)
    assert list(failed.table["status"]) == ["finished", "failed"]


def test_an_error_is_raised_with_its_fix():
    with pytest.raises(ExpError) as refused:
        train("dataset=cancr")
    assert refused.value.problem.startswith("dataset=cancr: unknown dataset")
    assert refused.value.fix.startswith("dataset=cancer")
    with pytest.raises(ExpError) as failed:
        train("dataset=moons", "batching.batch_size=100000")
    assert "<= the number of training rows, 600" in failed.value.problem
    with pytest.raises(ExpError, match=r'try: sweep\("optimizer\.lr=0\.1,0\.2"\)'):
        train("optimizer.lr=0.1,0.2")
    with pytest.raises(ExpError, match=r'got the flag -m\n  try: sweep\("seed=0,1"\)'):
        train("-m", "seed=0,1")
    with pytest.raises(ExpError, match=r'corrected: train\("dataset=iris", "optimizer\.lr=0\.1"\)'):
        train("dataset=irs", "optimizer.lrr=0.1")
    with pytest.raises(ExpError, match="an object of type dict is neither rows nor an override"):
        train({"dataset": "iris"})
    with pytest.raises(ExpError, match="does not contain a run"):
        load("nowhere")


def test_the_callers_random_state_threads_and_logs_are_unchanged(caplog: pytest.LogCaptureFixture):
    torch.manual_seed(5)
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    handlers, environment = logging.getLogger().handlers[:], dict(os.environ)
    train("dataset=xor", "threads=1", epochs=2, figures=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 2
    assert logging.getLogger().handlers == handlers
    assert dict(os.environ) == environment


@pytest.mark.slow
@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_callers_garbage_collector_is_unchanged(is_enabled: bool):
    frozen = gc.get_freeze_count()
    if not is_enabled:
        gc.disable()
    try:
        train("dataset=xor", epochs=1, figures=False)
        sweep("dataset=xor", "seed=1,2", "sweep.workers=0", epochs=1, figures=False)
        assert gc.isenabled() == is_enabled
        assert gc.get_freeze_count() <= frozen  # objects that were frozen before may be freed
    finally:
        gc.enable()


def test_the_package_lists_its_names():
    assert set(package.__all__) == {"ExpClassifier", "ExpRegressor", "Result", "SweepResult", "load", "sweep", "train"}
    with pytest.raises(AttributeError, match="no attribute 'tran'"):
        _ = package.tran
