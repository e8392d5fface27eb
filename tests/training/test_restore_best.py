"""A run with early stopping, or with early_stopping.restore_best=true, ends with its best parameters."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import forking
import pytest
import torch
from conftest import config_of, list_evaluations

from exp.api import load
from exp.data.batches import Position
from exp.errors import ConfigError
from exp.results import checkpoints
from exp.results.summary import SummarySink
from exp.results.trained_model import load_trained
from exp.training.build import build
from exp.training.events import Ending, Resumed
from exp.training.loop import Training

LINE = "dataset=moons optimizer.lr=3 epochs=11 figures=false threads=1".split()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the run, `run`, and of the same run without it, `plain`; and what the run printed."""
    folder = tmp_path_factory.mktemp("restored")
    done = forking.run("exp", [*LINE, "early_stopping.restore_best=true", "hydra.run.dir=run"], folder)
    assert done.returncode == 0, done.stderr
    assert forking.run("exp", [*LINE, "hydra.run.dir=plain"], folder).returncode == 0
    return folder, done.stdout


@pytest.fixture
def folders(trained: tuple[Path, str], tmp_path: Path) -> tuple[Path, Path, str]:
    """Copies of the two runs in the test's own folder, and what the first one printed."""
    folder, printed = trained
    run, plain = (Path(shutil.copytree(folder / name, tmp_path / name)) for name in ("run", "plain"))
    return run, plain, printed


def test_its_final_metrics_are_those_of_the_best_checkpoint(folders: tuple[Path, Path, str]):
    run, plain, printed = folders
    summary, without = (json.loads((folder / "summary.json").read_text()) for folder in (run, plain))
    best = min((float(row["loss"]), int(row["step"])) for row in rows(plain) if row["split"] == "val")
    assert (summary["final"]["val"]["loss"], summary["restored_step"]) == best
    assert f"restored the parameters of step {best[1]:,}, the lowest validation loss" in printed
    assert "with the parameters of the lowest validation loss" in printed
    assert summary["steps"] == without["steps"] > best[1]
    assert summary["best"]["val"] == without["best"]["val"]
    for split, metrics in summary["final"].items():
        assert load_trained(run).evaluate(split).values() == metrics
        assert load_trained(plain, "best").evaluate(split).values() == metrics
        assert load_trained(run, "last").evaluate(split).values() == without["final"][split] != metrics


def test_training_its_checkpoints_and_its_curves_are_those_of_a_run_without_it(folders: tuple[Path, Path, str]):
    run, plain, _ = folders
    curves = [[row for row in rows(folder) if row["split"] != "test"] for folder in (run, plain)]
    assert curves[0] == curves[1]
    (test,) = (row for row in rows(run) if row["split"] == "test")
    assert int(test["step"]) == json.loads((run / "summary.json").read_text())["restored_step"]
    for name in ("last.pt", "best.pt"):
        ours, theirs = (checkpoints.read(folder / "checkpoints" / name) for folder in (run, plain))
        assert set(ours) - set(theirs) == ({"best"} if name == "last.pt" else set())
        assert all(torch.equal(ours["model"][key], theirs["model"][key]) for key in theirs["model"])


def test_commands_use_the_best_parameters(exp: Any, folders: tuple[Path, Path, str]):
    printed = exp("evaluate", "run=run").stdout
    assert "checkpoint best" in printed
    assert exp("evaluate", "run=plain", "checkpoint=best").stdout == printed
    assert "checkpoint last" in exp("evaluate", "run=plain").stdout


def test_nothing_is_restored_where_the_last_step_is_the_best():
    events = []
    for restore in ("true", "false"):
        experiment = build(config_of("dataset=moons", "epochs=3", f"early_stopping.restore_best={restore}"))
        every = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
        events.append(list_evaluations(every))
    assert events[0] == events[1]


def test_without_validation_rows_the_run_ends_with_its_last_parameters():
    config = config_of("dataset=moons", "dataset.split=[.8,0,.2]", "epochs=1", "early_stopping.restore_best=true")
    assert build(config).plan.restore_best is False


def test_an_extended_run_that_ends_with_its_last_parameters_has_no_restored_step(tmp_path: Path):
    sink = SummarySink(tmp_path, {"restored_step": 3})
    sink.handle(Resumed(Position(10, 1.0, 100), None, 3))
    sink.close(Ending("finished"))
    assert "restored_step" not in json.loads((tmp_path / "summary.json").read_text())


@pytest.mark.parametrize(
    ("words", "restores"),
    [
        ("", False),
        ("early_stopping.patience=3", True),
        ("early_stopping.patience=3 early_stopping.restore_best=false", False),
        ("early_stopping.restore_best=true", True),
        ("early_stopping.restore_best=auto", False),
        ("early_stopping.patience=3 dataset.split=[.8,0,.2]", False),
    ],
)
def test_a_run_with_early_stopping_restores_its_best_parameters_by_default(words: str, restores: bool):
    assert build(config_of("dataset=moons", *words.split())).plan.restore_best is restores


STOPPED = (
    "dataset=moons log_every=1epoch optimizer.lr=3 epochs=40 early_stopping.patience=3 figures=false threads=1".split()
)


@pytest.fixture
def older(exp: Any, tmp_path: Path) -> Path:
    """A run of 3 epochs by a version in which early stopping did not restore the best parameters by default."""
    words = [word for word in STOPPED if "epochs" not in word]
    assert exp(*words, "epochs=3", "early_stopping.restore_best=false", "hydra.run.dir=run").returncode == 0
    config = tmp_path / "run/.hydra/config.yaml"
    config.write_text(re.sub(r"(?m)^fold.*\n", "", config.read_text()))
    for name in ("overrides", "hydra"):
        path = tmp_path / f"run/.hydra/{name}.yaml"
        path.write_text(re.sub(r".*restore_best.*\n", "", path.read_text()))
    summary = tmp_path / "run/summary.json"
    summary.write_text(re.sub(r'.*restore_best=false",?\n', "", summary.read_text()))
    return tmp_path / "run"


@pytest.mark.slow
@pytest.mark.parametrize("has_key", [True, False])
def test_an_older_run_resumes_as_it_was(has_key: bool, older: Path, exp: Any, tmp_path: Path):
    config = older / ".hydra/config.yaml"
    assert "restore_best: false" in config.read_text()
    if not has_key:
        config.write_text(re.sub(r".*restore_best.*\n", "", config.read_text()))
    assert load_trained(older).checkpoint == "last"
    assert exp(*STOPPED, "early_stopping.restore_best=false", "hydra.run.dir=whole").returncode == 0
    done = exp("resume=run", "epochs=40")
    assert done.returncode == 0, done.stderr
    whole, resumed = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "run"))
    assert resumed["final"] == whole["final"]
    assert "restored_step" not in resumed
    assert rows(tmp_path / "whole") == rows(older)
    assert load_trained(older).checkpoint == "last"
    assert exp("resume=run").returncode == 0  # finished


def test_a_resumed_run_restores_by_default_like_the_whole_run(exp: Any, tmp_path: Path):
    words = [*STOPPED, "save_every=1epoch"]
    done = exp(*words, "hydra.run.dir=whole")
    assert "restored the parameters of step" in done.stdout, done.stdout + done.stderr
    assert exp(*(word for word in words if "epochs" not in word), "epochs=3", "hydra.run.dir=half").returncode == 0
    assert exp("resume=half", "epochs=40").returncode == 0
    whole, half = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "half"))
    assert (whole["final"], whole["restored_step"]) == (half["final"], half["restored_step"])
    assert rows(tmp_path / "whole") == rows(tmp_path / "half")


def test_a_resumed_run_forgets_the_step_that_it_had_restored(tmp_path: Path):
    """A longer run may end with its last parameters, and `exp refit` trains up to the restored step."""
    SummarySink(tmp_path, {"restored_step": 3, "steps": 8}).close(Ending("finished"))
    assert "restored_step" not in json.loads((tmp_path / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "which"),
    [
        ("plain", "best"),
        pytest.param("run", "last", marks=pytest.mark.slow),
        pytest.param("plain", "last", marks=pytest.mark.slow),
        pytest.param("run", "best", marks=pytest.mark.slow),
    ],
)
def test_the_script_of_a_checkpoint_ends_with_its_parameters(
    run: str, which: str, exp: Any, folders: tuple[Path, Path, str], tmp_path: Path
):
    done = forking.run("exp.export", [f"run={run}", "format=script", "out=train.py", f"checkpoint={which}"], tmp_path)
    assert done.stdout.endswith(f"script, checkpoint {which}: train.py\n"), done.stderr
    printed = forking.begin("train", folder=tmp_path).completed().stdout.splitlines()[-3:]
    step = checkpoints.read(tmp_path / f"{run}/checkpoints/{which}.pt")["step"]
    for line in printed:
        split, at, *metrics = line.split()
        assert int(at) == step
        values = load_trained(tmp_path / run, which).evaluate(split).values()
        assert metrics == [repr(values["loss"]), repr(values["accuracy"])]


@pytest.mark.slow
def test_commands_and_python_say_which_parameters_they_use(exp: Any, folders: tuple[Path, Path, str], tmp_path: Path):
    features = load_trained(tmp_path / "run").preprocessing.features
    (tmp_path / "new.csv").write_text(f"{','.join(features)}\n0.1,0.2\n")
    for run, default in (("run", "best"), ("plain", "last")):
        for number, (words, used) in enumerate([([], default), (["checkpoint=last"], "last")]):
            out = f"{run}{number}.csv"
            done = exp("predict", f"run={run}", "data=new.csv", f"out={out}", *words)
            assert done.stdout == f"1 prediction of target, checkpoint {used}: {out}\n", done.stderr
        assert load(tmp_path / run).trained.checkpoint == default
        for which in ("best", "last"):
            ours, state = load(tmp_path / run, checkpoint=which), tmp_path / f"{run}/checkpoints/{which}.pt"
            assert torch.equal(next(ours.model.parameters()), next(iter(checkpoints.read(state)["model"].values())))
    with pytest.raises(ConfigError, match=r"checkpoint=bset: unknown checkpoint 'bset' \(available: last, best, auto"):
        load(tmp_path / "run", checkpoint="bset")
    for command in ("predict", "evaluate", "export"):
        assert "by default (auto) that of the final metrics" in " ".join(exp(command, "--help").stdout.split())
