"""`exp best` and `exp refit`, end to end: sweeps of real tables, and the run that a sweep ends in."""

import csv
import json
import math
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_wine

from exp.results import checkpoints
from exp.results.compare_runs import find_differences

WINE = "dataset=table dataset.path=wine.csv dataset.target=cultivar model.hidden=[8] epochs=12 threads=1".split()
SWEEP = [*WINE, "optimizer.lr=0.0001,0.01", "seed=0,1", "figures=false", "sweep.workers=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of a table with classes, `sweep`. A test that writes to it makes a copy."""
    made = tmp_path_factory.mktemp("best")
    wine: Any = load_wine(as_frame=True)
    wine.data.assign(cultivar=wine.target_names[wine.target]).to_csv(made / "wine.csv", index=False)
    done = forking.run("exp", ["-m", *SWEEP, "hydra.sweep.dir=sweep"], made)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def refitted(folder: Path) -> str:
    """What `exp refit` of the sweep printed; its run is `refitted`."""
    done = forking.run("exp", ["refit", "sweep", "out=refitted"], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def summary_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def rows(run: Path, split: str) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def test_the_printed_command_is_the_best_job_without_its_seed(folder: Path):
    means = {
        jobs: np.mean([summary_of(folder / "sweep" / job)["final"]["val"]["loss"] for job in jobs])
        for jobs in ("01", "23")
    }
    best = min(means, key=lambda jobs: means[jobs])
    done = forking.run("exp", ["best", "sweep"], folder)
    assert (done.returncode, done.stderr) == (0, "")
    comment, line = done.stdout.splitlines()
    value = f"{means[best]:.4g}"
    expected = f"# jobs {best[0]}, {best[1]}: loss/val {value}, mean of 2 seeds, the lowest of 2 choices"
    assert comment.removesuffix(" (1 other may be as good)") == expected
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "exp"]
    assert "seed" not in line
    assert forking.run("exp", [*words[3:], "hydra.run.dir=alone"], folder).returncode == 0
    kinds = {kind for kind, _ in find_differences(folder / "alone", folder / "sweep" / best[0])}
    assert kinds.isdisjoint({"metrics", "parameters", "data"})


def test_a_refit_is_the_run_of_the_printed_line_on_train_and_val(folder: Path, refitted: str):
    line = refitted.splitlines()[1]
    assert "hydra.run.dir=refitted" in line
    again = [word.replace("hydra.run.dir=refitted", "hydra.run.dir=typed") for word in shlex.split(line)[3:]]
    assert forking.run("exp", again, folder).returncode == 0
    assert not list(find_differences(folder / "refitted", folder / "typed"))
    content, job = summary_of(folder / "refitted"), summary_of(folder / "sweep/2")
    assert content["rows"] == {"train": job["rows"]["train"] + job["rows"]["val"], "test": job["rows"]["test"]}
    # Each seed's epoch of its lowest validation loss, from metrics.csv.
    epochs: list[int] = []
    for name in ("2", "3"):
        lowest = min(rows(folder / "sweep" / name, "val"), key=lambda row: float(row["loss"]))
        epochs.append(math.ceil(float(lowest["epoch"])))
    assert content["epochs"] == round(np.mean(epochs))
    assert content["final"]["test"]["accuracy"] > 0.9
    assert not (folder / "refitted/checkpoints/best.pt").exists()


@pytest.mark.usefixtures("refitted")
@pytest.mark.slow
def test_the_script_of_a_refit_has_its_losses(folder: Path, tmp_path: Path):
    done = forking.run("exp", ["export", "run=refitted", "format=script", f"out={tmp_path}/train.py"], folder)
    assert done.returncode == 0, done.stderr
    printed = [line.split() for line in forking.run("train", [], tmp_path).stdout.splitlines()]
    final = summary_of(folder / "refitted")["final"]
    assert [(split, float(loss)) for split, _, loss, _ in printed] == [
        (split, final[split]["loss"]) for split in ("train", "test")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stopped_refit_is_resumed_to_the_same_bits(how: signal.Signals, tmp_path: Path):
    wine: Any = load_wine(as_frame=True)
    wine.data.assign(cultivar=wine.target_names[wine.target]).to_csv(tmp_path / "wine.csv", index=False)
    line = "epochs=300 save_every=50 early_stopping.patience=null early_stopping.restore_best=false".split()
    words = [*(word for word in WINE if not word.startswith("epochs")), *line, "optimizer.lr=0.001"]
    done = forking.run("exp", ["-m", *words, "figures=false", "sweep.workers=0", "hydra.sweep.dir=sweep"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert forking.run("exp", ["refit", "sweep", "out=whole"], tmp_path).returncode == 0
    process = forking.begin("exp", "refit", "sweep", "out=run", folder=tmp_path)
    while not (tmp_path / "run/checkpoints/last.pt").exists():
        time.sleep(0.001)
        assert process.poll() is None
    process.send_signal(how)
    assert process.wait() == {signal.SIGKILL: -9, signal.SIGTERM: 143}[how]
    done = forking.run("exp", ["resume=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert not [what for kind, what in find_differences(tmp_path / "run", tmp_path / "whole") if kind != "config"]


@pytest.mark.slow
def test_a_refit_of_a_target_of_numbers_standardises_all_its_rows(tmp_path: Path):
    diabetes: Any = load_diabetes(as_frame=True, scaled=False)
    diabetes.frame.to_csv(tmp_path / "diabetes.csv", index=False)
    words = (
        "dataset=table dataset.path=diabetes.csv dataset.target=target model.hidden=[8] scheduler=cosine epochs=auto"
    )
    line = [
        "-m",
        *words.split(),
        "optimizer.lr=0.001,0.01",
        "figures=false",
        "sweep.workers=0",
        "hydra.sweep.dir=sweep",
    ]
    assert forking.run("exp", line, tmp_path).returncode == 0
    done = forking.run("exp", ["refit", "sweep", "out=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    (best,) = re.findall(r"# job (\d)", done.stdout)
    decided = summary_of(tmp_path / "sweep" / best)["decided"]
    assert f"scheduler.T_max={decided['epochs']}" in done.stdout
    assert f"batching.batch_size={decided['batching.batch_size']}" in done.stdout
    order = torch.randperm(442, generator=torch.Generator().manual_seed(0))[: 265 + 88].numpy()
    targets = diabetes.frame["target"].to_numpy()[order]
    state = checkpoints.read(tmp_path / "run/checkpoints/last.pt")
    scale = json.loads(state["preprocessing"])["target_scale"]
    assert np.allclose([*scale["mean"], *scale["scale"]], [targets.mean(), targets.std()])


@pytest.mark.slow
def test_what_cannot_be_refitted_is_refused(folder: Path, tmp_path: Path):
    shutil.copy(folder / "wine.csv", tmp_path)
    line = ["-m", *WINE, "scheduler=plateau", "seed=0,1", "figures=false", "sweep.workers=0", "hydra.sweep.dir=plateau"]
    assert forking.run("exp", line, tmp_path).returncode == 0
    done = forking.run("exp", ["refit", "plateau", "out=run"], tmp_path)
    assert done.returncode == 1
    assert "scheduler=plateau lowers the learning rate by the validation rows, and a refit has none" in done.stderr
    assert "exp predict run=plateau data=new.csv out=predictions.csv ensemble=true" in done.stderr
    assert forking.run("exp", ["best", "plateau"], tmp_path).stdout.count("\n") == 2
    done = forking.run("exp", ["refit", "plateau/0"], tmp_path)
    assert "plateau/0 is a run, not a sweep\n  try: its sweep, plateau" in done.stderr
    done = forking.run("exp", ["refit", str(folder / "sweep"), "out=plateau"], tmp_path)
    assert "out=plateau: the folder already contains a sweep" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_best_refit_and_predict_say_that_the_best_job_is_missing(folder: Path, tmp_path: Path):
    shutil.copy(folder / "wine.csv", tmp_path)
    shutil.copytree(folder / "sweep", tmp_path / "sweep")
    for name in ("2", "3"):
        shutil.rmtree(tmp_path / "sweep" / name)
    note = "note: the folders of jobs 2, 3 are missing, and not compared; job "
    assert f"\n# {note}" in forking.run("exp", ["best", "sweep"], tmp_path).stdout
    assert f"\n# {note}" in forking.run("exp", ["refit", "sweep"], tmp_path).stdout
    assert f"\n{note}" in forking.run("exp", ["predict", "run=sweep", "data=wine.csv", "out=p.csv"], tmp_path).stdout


@pytest.mark.slow
def test_a_refit_takes_the_new_place_of_the_data_file(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "sweep", tmp_path / "sweep")
    done = forking.run("exp", ["refit", "sweep", "out=run"], tmp_path)
    assert done.returncode == 1
    what = "dataset.path=wine.csv: file not found\n  try: dataset.path=NEW, where the file is now\n"
    assert done.stderr.endswith(what)
    shutil.copy(folder / "wine.csv", tmp_path / "moved wine.csv")
    line = ["refit", "sweep", "dataset.path=moved wine.csv", "out=run"]
    done = forking.run("exp", line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path / "run")["data_sha256"] == summary_of(tmp_path / "sweep/2")["data_sha256"]
    text = (folder / "wine.csv").read_text().splitlines()
    (tmp_path / "moved wine.csv").write_text("\n".join(text[:-1]) + "\n")
    done = forking.run("exp", [*line[:-1], "out=other"], tmp_path)
    assert done.returncode == 1
    assert "the rows differ from those that sweep was trained on" in done.stderr
    (tmp_path / "moved wine.csv").rename(tmp_path / "wine.csv")  # fewer rows in the same place
    done = forking.run("exp", ["refit", "sweep", "out=other"], tmp_path)
    assert done.returncode == 1
    assert "the rows differ from those that sweep was trained on" in done.stderr
    (tmp_path / "wine.csv").rename(tmp_path / "wines.csv")  # a similar name is no sign of the same rows
    done = forking.run("exp", ["refit", "sweep", "out=other"], tmp_path)
    assert done.stderr.endswith(what)


@pytest.mark.slow
def test_a_refit_says_that_the_seeds_had_other_test_rows(folder: Path, tmp_path: Path):
    shutil.copy(folder / "wine.csv", tmp_path)
    for extra, is_noted in (([], True), (["dataset.seed=0"], False)):
        name = f"sweep{len(extra)}"
        line = [*WINE, "seed=0,1", *extra, "figures=false", "sweep.workers=0", f"hydra.sweep.dir={name}"]
        assert forking.run("exp", ["-m", *line], tmp_path).returncode == 0
        done = forking.run("exp", ["refit", name, f"out=run{len(extra)}"], tmp_path)
        assert done.returncode == 0, done.stderr
        note = "note: each of the 2 seeds of the sweep has another split: the test rows of this run were training or"
        assert (note in done.stdout) == is_noted


@pytest.mark.slow
def test_a_refit_of_folds_has_a_schedule_of_its_own_length(folder: Path, tmp_path: Path):
    """Of 178 rows, 106 + 35 train the refit in 15 steps, and 118 or 119 are outside a fold, which are 12 steps."""
    shutil.copy(folder / "wine.csv", tmp_path)
    schedule = "scheduler=one_cycle batching.batch_size=10 early_stopping.patience=null".split()
    line = ["-m", *WINE, *schedule, "folds=3", "figures=false", "sweep.workers=0", "hydra.sweep.dir=sweep"]
    assert forking.run("exp", line, tmp_path).returncode == 0
    done = forking.run("exp", ["refit", "sweep", "out=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"scheduler.total_steps={12 * 15}" in done.stdout
    assert summary_of(tmp_path / "run")["steps"] == 12 * 15


@pytest.mark.slow
def test_folds_without_other_parts_are_refitted_on_all_rows(folder: Path, tmp_path: Path):
    shutil.copy(folder / "wine.csv", tmp_path)
    line = [*WINE, "early_stopping.patience=null", "dataset.split=null", "folds=2", "figures=false"]
    assert forking.run("exp", ["-m", *line, "sweep.workers=0", "hydra.sweep.dir=sweep"], tmp_path).returncode == 0
    done = forking.run("exp", ["refit", "sweep", "out=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path / "run")["rows"]["train"] == 178


@pytest.mark.slow
def test_a_config_dir_and_a_preset_with_values_are_kept(tmp_path: Path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/rates.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {optimizer.lr: '0.01,0.1', seed: '0,1'}}}\n"
    )
    line = "--config-dir mine -m experiment=rates dataset=iris epochs=2 figures=false sweep.workers=0"
    assert forking.run("exp", [*line.split(), "hydra.sweep.dir=sweep"], tmp_path).returncode == 0
    printed = forking.run("exp", ["best", "sweep"], tmp_path).stdout.splitlines()[1]
    line = f"python -m exp --config-dir {tmp_path}/mine optimizer.lr=0.1 experiment=rates dataset=iris epochs=2"
    assert printed.startswith(line)
    assert "seed" not in printed.removeprefix(line)
    done = forking.run("exp", ["refit", "sweep", "out=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path / "run")["rows"] == {"train": 120, "test": 30}
