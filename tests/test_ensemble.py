"""A sweep used as a model: `run=SWEEP` means its best job, `ensemble=true` the average of its seeds or folds."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes, load_wine
from sklearn.metrics import f1_score, log_loss

from exp import load
from exp.api import SweepResult
from exp.errors import ConfigError
from exp.results.best_job import find_best
from exp.results.trained_ensemble import load_models
from exp.results.trained_model import load_trained

COMMON = "figures=false threads=1 sweep.workers=0 epochs=4".split()
WINE = "dataset=table dataset.path=wine.csv dataset.target=cultivar model.hidden=[8] metrics=[f1]".split()
DIABETES = "dataset=table dataset.path=diabetes.csv dataset.target=target model.hidden=[8]".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sweeps over seeds: `wine` with a split for each seed, `fixed` with one split for all."""
    made = tmp_path_factory.mktemp("ensemble")
    wine: Any = load_wine(as_frame=True)
    soil = np.where(wine.data["alcohol"] > 14, "clay", np.where(wine.data["alcohol"] > 12, "sand", "chalk"))
    table = wine.data.assign(soil=soil, cultivar=wine.target_names[wine.target])
    table.loc[7, "soil"] = "lava"  # in the training rows of some seeds only
    table.to_csv(made / "wine.csv", index=False)
    diabetes: Any = load_diabetes(as_frame=True, scaled=False)
    diabetes.frame.to_csv(made / "diabetes.csv", index=False)
    sweeps = {
        "wine": [*WINE, "optimizer.lr=0.001,0.01", "seed=2,1,0"],
        "fixed": [*WINE, "dataset.seed=5", "seed=0,1"],
    }
    for name, words in sweeps.items():
        run(made, "-m", *words, *COMMON, f"hydra.sweep.dir={name}")
    return made


@pytest.fixture(scope="module")
def values(folder: Path) -> Path:
    """The folder, with the sweep `diabetes` over seeds with a split for each."""
    run(folder, "-m", *DIABETES, "seed=0,1,2", *COMMON, "hydra.sweep.dir=diabetes")
    return folder


def run(folder: Path, *words: str) -> str:
    done = forking.run("exp", [*words], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def values_in(printed: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(\S+) (-?[\d.e-]+)$", printed, re.MULTILINE)}


def predicted(folder: Path, out: Path, *words: str) -> pd.DataFrame:
    run(folder, "predict", *words, f"out={out}")
    return pd.read_csv(out)


def members(folder: Path, sweep: str) -> list[str]:
    return [f"{sweep}/{job.name}" for job in find_best(folder / sweep).jobs]


def test_a_sweep_is_the_first_seed_of_its_best_choice(folder: Path, tmp_path: Path):
    """Not its best seed, which is the lucky one."""
    first = members(folder, "wine")[0]
    assert json.loads((folder / first / "summary.json").read_text())["seed"] == 0
    printed = run(folder, "evaluate", "run=wine")
    assert run(folder, "evaluate", f"run={first}") == "".join(printed.splitlines(keepends=True)[2:])
    best, used = printed.splitlines()[:2]
    expected = r"wine: jobs \d, \d, \d: loss/val [\d.]+, mean of 3 seeds, the lowest of 2 choices"
    assert re.fullmatch(expected, best.removesuffix(" (1 other may be as good)"))
    assert used == (
        f"uses job {first[-1]} (seed=0); ensemble=true averages all 3 seeds, and python -m exp refit wine trains one "
        "model on more rows"
    )
    assert run(folder, "importance", "run=wine", "repeats=1").splitlines()[1] == f"uses job {first[-1]} (seed=0)"
    alone = predicted(folder, tmp_path / "a.csv", f"run={first}", "data=wine.csv")
    pd.testing.assert_frame_equal(predicted(folder, tmp_path / "b.csv", "run=wine", "data=wine.csv"), alone)


@pytest.mark.slow
def test_a_sweep_is_exported_as_the_first_seed_of_its_best_choice(folder: Path, tmp_path: Path):
    first = members(folder, "wine")[0]
    run(folder, "export", "run=wine", "format=pt2", f"out={tmp_path}/a.pt2")
    x = torch.zeros(1, len(load_trained(folder / first).preprocessing.features))
    assert torch.equal(torch.export.load(tmp_path / "a.pt2").module()(x), load_trained(folder / first).model(x))


@pytest.mark.slow  # tests/test_calibrate.py calibrates the best job of such a sweep
def test_a_sweep_without_seeds_is_its_best_job(folder: Path):
    run(folder, "-m", *WINE, "optimizer.lr=0.001,0.01", *COMMON, "hydra.sweep.dir=plain")
    losses = [json.loads((folder / f"plain/{job}/summary.json").read_text())["final"]["val"]["loss"] for job in "01"]
    best = int(np.argmin(losses))
    printed = run(folder, "evaluate", "run=plain", "split=val").splitlines()
    assert printed[0] == f"plain: job {best}: loss/val {losses[best]:.4g}, the lowest of 2 choices"
    assert values_in("\n".join(printed))["loss"] == losses[best]


def test_python_loads_the_same_jobs(folder: Path, capsys: pytest.CaptureFixture[str]):
    first = folder / members(folder, "wine")[0]
    assert load(folder / "wine").folder == first
    assert "uses job" in capsys.readouterr().out
    assert SweepResult(folder / "wine").best.folder == first


def test_probabilities_are_the_mean_over_the_seeds(folder: Path, tmp_path: Path):
    table = pd.read_csv(folder / "wine.csv")
    new = pd.concat([table.loc[[7]], table.drop(7).sample(60, random_state=0)])
    new.to_csv(tmp_path / "new.csv", index=False)
    data = f"data={tmp_path}/new.csv"
    ours = predicted(folder, tmp_path / "mean.csv", "run=wine", data, "ensemble=true")
    each = [
        predicted(folder, tmp_path / f"{n}.csv", f"run={job}", data) for n, job in enumerate(members(folder, "wine"))
    ]
    assert len(each) == 3
    columns = [name for name in ours if name.startswith("probability")]
    expected = np.mean([one[columns].to_numpy() for one in each], axis=0)
    assert np.allclose(ours[columns].to_numpy(), expected, atol=1e-6)
    names = [name.removeprefix("probability ") for name in columns]
    assert list(ours["prediction"]) == [names[place] for place in expected.argmax(1)]
    # And the metrics are those of the mean.
    printed = run(folder, "evaluate", "run=wine", data, "ensemble=true")
    metrics = values_in(printed)
    assert metrics["accuracy"] == pytest.approx((ours["prediction"] == new["cultivar"].to_numpy()).mean())
    of_class = expected[np.arange(len(new)), [names.index(name) for name in new["cultivar"]]]
    assert metrics["loss"] == pytest.approx(-np.log(of_class).mean(), rel=1e-4)
    assert metrics["f1"] == pytest.approx(f1_score(new["cultivar"], ours["prediction"], average="macro"), rel=1e-9)
    assert re.search(r"^\d: categories that are not in the training rows.*soil in 1 row$", printed, re.MULTILINE)


@pytest.mark.slow
def test_values_are_the_mean_over_the_seeds_in_their_own_unit(values: Path, tmp_path: Path):
    folder = values
    new = pd.read_csv(folder / "diabetes.csv").sample(50, random_state=1)
    new.loc[new.index[3], "bmi"] = np.nan
    new.to_csv(tmp_path / "new.csv", index=False)
    data, jobs = f"data={tmp_path}/new.csv", members(folder, "diabetes")
    ours = predicted(folder, tmp_path / "mean.csv", "run=diabetes", data, "ensemble=true")["prediction"]
    each = [predicted(folder, tmp_path / f"{n}.csv", f"run={job}", data) for n, job in enumerate(jobs)]
    expected = np.mean([one["prediction"] for one in each], axis=0)
    assert np.isnan(expected).tolist() == ours.isna().tolist()
    assert np.allclose(ours, expected, rtol=1e-5, equal_nan=True)
    metrics = values_in(run(folder, "evaluate", "run=diabetes", data, "ensemble=true"))
    errors = (expected - new["target"].to_numpy())[~np.isnan(expected)]
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    scale = load_trained(folder / jobs[0]).preprocessing.target_scale
    assert scale is not None
    assert metrics["loss"] == pytest.approx(np.mean((errors / scale.scale[0]) ** 2), rel=1e-4)


def test_a_split_that_all_seeds_share_is_evaluated(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    jobs = [load_trained(folder / job) for job in members(folder, "fixed")]
    test = jobs[0].experiment.data.test
    with torch.no_grad():
        mean = np.mean([job.model(test.x).double().softmax(1).numpy() for job in jobs], axis=0)
    printed = run(folder, "evaluate", "run=fixed", "ensemble=true")
    assert f"test, {len(test)} rows, checkpoint best" in printed
    assert values_in(printed)["loss"] == pytest.approx(log_loss(test.y.numpy(), mean, labels=[0, 1, 2]), rel=1e-4)
    assert values_in(printed)["accuracy"] == pytest.approx((mean.argmax(1) == test.y.numpy()).mean())
    last = run(folder, "evaluate", "run=fixed", "ensemble=true", "split=val", "checkpoint=last")
    assert ", checkpoint last" in last


@pytest.mark.slow
def test_the_mean_is_exported_where_all_models_take_the_same_features(folder: Path, tmp_path: Path):
    jobs = [load_trained(folder / job) for job in members(folder, "fixed")]
    run(folder, "export", "run=fixed", "ensemble=true", "format=pt2", f"out={tmp_path}/mean.pt2")
    for rows in (1, 30):
        x = torch.randn(rows, len(jobs[0].preprocessing.features))
        with torch.no_grad():
            expected = np.mean([job.model(x).double().softmax(1).numpy() for job in jobs], axis=0)
        assert np.allclose(torch.export.load(tmp_path / "mean.pt2").module()(x).detach().numpy(), expected)


@pytest.mark.slow
def test_the_folds_of_a_cross_validation_are_averaged(folder: Path, tmp_path: Path):
    shutil.copy(folder / "wine.csv", tmp_path)
    run(tmp_path, "-m", *WINE, "folds=3", *COMMON, "hydra.sweep.dir=cv")
    jobs = members(tmp_path, "cv")
    assert jobs == ["cv/0", "cv/1", "cv/2"]
    run(tmp_path, "calibrate", "run=cv/1")
    each = [predicted(tmp_path, tmp_path / f"{n}.csv", f"run={job}", "data=wine.csv") for n, job in enumerate(jobs)]
    ours = predicted(tmp_path, tmp_path / "mean.csv", "run=cv", "data=wine.csv", "ensemble=true")
    columns = [name for name in ours if name.startswith("probability")]
    assert np.allclose(ours[columns], np.mean([one[columns].to_numpy() for one in each], axis=0), atol=1e-6)
    printed = run(tmp_path, "evaluate", "run=cv", "data=wine.csv", "ensemble=true")
    assert "checkpoint best and checkpoint best, calibrated" in printed
    assert "note: calibrated models: 1 of 3" in printed
    assert "(of 0, 2); to calibrate: python -m exp calibrate run=cv/0\n" in printed
    assert run(tmp_path, "evaluate", "run=cv").splitlines()[1].startswith("uses job 0 (fold=0); ensemble=true averages")
    done = forking.run("exp", ["evaluate", "run=cv", "ensemble=true"], tmp_path)
    assert "cv/predictions.csv has predictions of each row by models that did not train on it" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "targets"),
    [
        ("diabetes/0", "numbers"),
        ("two/0", "2 classes (class_0, class_1)"),
    ],
)
def test_models_of_other_classes_are_not_averaged(other: str, targets: str, values: Path, tmp_path: Path):
    """The file of a sweep changed between its jobs."""
    for name in ("wine", "diabetes"):
        shutil.copytree(values / name, tmp_path / name)
    wine = pd.read_csv(values / "wine.csv")
    wine[wine["cultivar"] != "class_2"].to_csv(tmp_path / "wine.csv", index=False)
    run(tmp_path, "-m", *WINE, *COMMON, "seed=0,1", "hydra.sweep.dir=two")
    with pytest.raises(ConfigError) as refused:
        load_models([tmp_path / "wine/0", tmp_path / other])
    expected = f"{other} predicts {targets}, but {tmp_path}/wine/0 3 classes (class_0, class_1, class_2)"
    assert expected in refused.value.problem


@pytest.mark.slow
def test_thresholds_of_calibrations_are_not_used(tmp_path: Path):
    words = "dataset=moons loss=bce_with_logits seed=0,1 +dataset.seed=0".split()
    run(tmp_path, "-m", *words, *COMMON, "hydra.sweep.dir=moons")
    run(tmp_path, "calibrate", "run=moons/0", "threshold=0.9")
    run(tmp_path, "calibrate", "run=moons/1", "threshold=0.9")
    printed = run(tmp_path, "evaluate", "run=moons", "ensemble=true")
    assert printed.count("without the threshold of its calibration") == 2
    jobs = [load_trained(tmp_path / job) for job in members(tmp_path, "moons")]
    test = jobs[0].experiment.data.test
    with torch.no_grad():
        mean = np.mean([torch.sigmoid(job.network(test.x)).numpy() for job in jobs], axis=0)
    accuracy = ((mean >= 0.5) == test.y.numpy()).mean()
    assert values_in(printed)["accuracy"] == pytest.approx(accuracy)


@pytest.mark.slow
def test_the_mean_of_values_is_exported_as_onnx(folder: Path, tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    shutil.copy(folder / "diabetes.csv", tmp_path)
    words = [*DIABETES, "dataset.seed=0", "seed=0,1", *COMMON, "hydra.sweep.dir=fixed"]
    run(tmp_path, "-m", *words)
    run(tmp_path, "export", "run=fixed", "ensemble=true", "format=onnx", "out=mean.onnx")
    jobs = [load_trained(tmp_path / job) for job in members(tmp_path, "fixed")]
    session: Any = onnxruntime.InferenceSession(tmp_path / "mean.onnx")
    x = torch.randn(9, len(jobs[0].preprocessing.features))
    (ours,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = np.mean([job.objective.prediction(job.model(x)).numpy() for job in jobs], axis=0)
    assert np.allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        ("evaluate run=wine/0 ensemble=true", "it is one run, and an ensemble averages", "run=wine ensemble=true"),
        pytest.param(
            "evaluate run=plain ensemble=true",
            "has one job, and no seeds or folds",
            "a sweep with seed=0,1,2",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "evaluate run=wine ensemble=yes",
            "ensemble must be one of true, false, got yes",
            "ensemble=true",
            marks=pytest.mark.slow,
        ),
        (
            "evaluate run=wine ensemble=true",
            "split=test ensemble=true: the models of wine do not have the same test rows",
            "data=new.csv, or a sweep with dataset.seed=0",
        ),
        pytest.param(
            "evaluate run=wine split=val ensemble=true",
            "do not have the same val rows",
            "data=new.csv",
            marks=pytest.mark.slow,
        ),
        (
            "export run=wine format=pt2 out=x.pt2 ensemble=true",
            "each model of wine standardises and encodes its features by its own training rows",
            "a sweep with dataset.seed=0",
        ),
        pytest.param(
            "export run=fixed format=script out=x.py ensemble=true",
            "a script trains one run",
            "format=pt2",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "evaluate run=nowhere ensemble=true",
            "nowhere does not contain a run",
            "the folder that a run printed",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "predict run=wine data=wine.csv out=x.csv checkpoint=first",
            "unknown checkpoint 'first'",
            "checkpoint=last",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_averaged_is_refused(folder: Path, words: str, message: str, fix: str):
    done = forking.run("exp", words.split(), folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert fix in done.stderr
    assert not [path for path in folder.iterdir() if path.stem == "x"]
