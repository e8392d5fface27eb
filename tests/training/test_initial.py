"""`init=RUN`: a new run starts with the parameters of another one."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from conftest import config_of

from exp import load, train
from exp.errors import ExpError
from exp.export import export
from exp.models.scheduled_dropout import ScheduledDropout
from exp.results import checkpoints
from exp.training.build import build

IRIS = ["dataset=iris", "figures=false", "threads=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "a"
    train(*IRIS, "optimizer.lr=0.1", f"hydra.run.dir={folder}", epochs=3)
    return folder


@pytest.fixture(autouse=True)
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "a")


def test_the_first_evaluation_is_the_last_one_of_that_run_and_the_rest_is_new():
    result = train(*IRIS, "init=a", "hydra.run.dir=b", epochs=2)
    before, after = load("a").metrics.query("split == 'val'"), result.metrics.query("split == 'val'")
    assert after.loss.iloc[0] == before.loss.iloc[-1]
    assert result.summary["init"]["run"] == "a"
    assert result.summary["init"]["checkpoint"] == "last"
    assert result.summary["described"]["init"] == "the parameters of a"
    best = train(*IRIS, "init=a:best", "hydra.run.dir=c", epochs=1)
    assert best.summary["init"] == {
        **result.summary["init"],
        "checkpoint": "best",
        "step": best.summary["init"]["step"],
    }


def test_it_is_that_of_a_plain_script_that_loads_the_parameters(capsys: pytest.CaptureFixture[str]):
    """For one layer, which is no Sequential in the script, too."""
    for model in ("mlp", "linear"):
        train(*IRIS, f"model={model}", f"hydra.run.dir=from_{model}", epochs=2)
        final = train(*IRIS, f"model={model}", f"init=from_{model}", f"hydra.run.dir=of_{model}", epochs=2).final
        shutil.rmtree(f"from_{model}")  # the run has a copy
        export(run=f"of_{model}", format="script", out=f"{model}.py")
        capsys.readouterr()
        runpy.run_path(f"{model}.py")
        assert capsys.readouterr().out.splitlines()[-1].split()[2] == repr(final["test"]["loss"])


def test_a_schedule_of_dropout_begins_anew(capsys: pytest.CaptureFixture[str]):
    line = [*IRIS, "experiment=realmlp", "model.hidden=8", "early_stopping.restore_best=false"]
    train(*line, "hydra.run.dir=first", epochs=3)
    experiment = build(config_of(*line, "epochs=3"))
    model = train(*line, "init=first", "hydra.run.dir=second", epochs=3).model
    counts = [part.step.item() for part in model.modules() if isinstance(part, ScheduledDropout)]
    assert counts
    assert set(counts) == {experiment.plan.steps}
    export(run="second", format="script", out="script.py")
    capsys.readouterr()
    runpy.run_path("script.py")
    assert capsys.readouterr().out.splitlines()[-1].split()[2] == repr(load("second").final["test"]["loss"])


@pytest.mark.slow
def test_it_is_resumed_without_that_run():
    whole = train(*IRIS, "init=a", "hydra.run.dir=whole", epochs=4)
    train(*IRIS, "init=a", "hydra.run.dir=two", epochs=2)
    shutil.copytree("two", "none")
    shutil.rmtree("a")
    train("resume=two", epochs=4)
    assert load("two").final == whole.final
    for name in ("last.pt", "previous.pt", "best.pt"):
        (Path("none/checkpoints") / name).unlink(missing_ok=True)
    train("resume=none", epochs=4)
    assert load("none").final == whole.final


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["init=a", "model.hidden=[4]"], "init=a: the models differ, first in 0.weight: [10, 4] there, [4, 4] here"),
        pytest.param(
            ["init=a", "model=linear"], "first in weight: not present there, [3, 4] here", marks=pytest.mark.slow
        ),
        pytest.param(
            ["init=a", "model.hidden=[10,10]"],
            "first in 2.weight: [3, 10] there, [10, 10] here",
            marks=pytest.mark.slow,
        ),
        (["init=aa"], "init=aa: no run is there\n  try: init=a"),
    ],
)
def test_other_shapes_are_refused(overrides: list[str], message: str):
    with pytest.raises(ExpError, match=re.escape(message)):
        train(*IRIS, *overrides, epochs=1)


def test_other_features_are_noted(capsys: pytest.CaptureFixture[str]):
    rows = [f"{i % 7},{i % 3},{'yn'[i % 2]}" for i in range(60)]
    for name in ("x,z,ill", "z,x,ill"):
        Path(f"{name[0]}.csv").write_text("\n".join([name, *rows]) + "\n")
    line = ["dataset=table", "dataset.target=ill", "figures=false", "epochs=1"]
    train(*line, "dataset.path=x.csv", "hydra.run.dir=t")
    train(*line, "dataset.path=z.csv", "init=t")
    assert "note      init=t: feature 1 was 'x' there, is 'z' here" in capsys.readouterr().out


@pytest.mark.slow
def test_advice_after_early_stopping_trains_steps():
    line = [*IRIS, "early_stopping.patience=1", "optimizer.lr=0.000001", "early_stopping.min_delta=1"]
    train(*line, "hydra.run.dir=stopped", epochs=9)
    with pytest.raises(ExpError, match=r"it would train no step\n  try: .*init=stopped"):
        train("resume=stopped", epochs=18)
    with pytest.raises(ExpError, match=r"optimizer.lr was 0.1, is now 0.01\n  try: .*optimizer.lr=0.01.*init=a"):
        train("resume=a", "optimizer.lr=0.01")
    given = checkpoints.read(Path("a/checkpoints/last.pt"))["model"]
    train(*IRIS, "init=a", "optimizer.lr=0.01", "hydra.run.dir=advised", epochs=1)
    kept = checkpoints.read(Path("advised/checkpoints/init.pt"))["model"]
    assert all(torch.equal(kept[name], value) for name, value in given.items())
