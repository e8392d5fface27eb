"""Promise 2: a job of a sweep writes the same bytes, except seconds, as the same run on its own."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from exp.results import checkpoints
from exp.results.compare_runs import find_differences


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_a_job_equals_the_run_alone_in_any_order_and_next_to_failed_jobs(exp, tmp_path: Path):
    common = ["dataset=moons", "model.dropout=0.2", "epochs=2", "figures=false"]
    # Batch sizes above the 600 rows fail. The jobs with threads=null run after those with threads=1.
    swept = exp(
        "-m",
        *common,
        "sweep.workers=0",
        "threads=1,null",
        "batching.batch_size=10,100000,7,601",
        "hydra.sweep.dir=sweep",
    )
    assert swept.returncode == 1
    assert "batching.batch_size must be <= the number of training rows, 600, got 100000" in swept.stdout
    jobs = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "sweep").glob("*/summary.json")}
    assert sorted(job["status"] for job in jobs.values()) == ["failed"] * 4 + ["finished"] * 4
    with (tmp_path / "sweep/sweep.csv").open() as file:
        table = {row["job"]: row for row in csv.DictReader(file)}
    assert list(table) == [str(number) for number in range(8)]
    assert sum(row["status"] == "failed" for row in table.values()) == 4
    for folder, job in jobs.items():
        assert table[folder.name]["status"] == job["status"]
        if job["status"] == "finished":
            assert float(table[folder.name]["loss/val"]) == job["final"]["val"]["loss"]
        if job["status"] == "finished" and "threads=1" in job["overrides"]:
            alone = exp(*job["overrides"], "hydra.run.dir=alone/" + folder.name)
            assert alone.returncode == 0, alone.stderr
            assert rows(folder) == rows(tmp_path / "alone" / folder.name)
            mine, theirs = (
                checkpoints.read(path / "checkpoints/last.pt")["model"]
                for path in (folder, tmp_path / "alone" / folder.name)
            )
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(
    ("chosen", "datasets"),
    [
        (("here", "one"), ["iris"]),
        pytest.param(("here", "one", "two"), ["iris", "moons"], marks=pytest.mark.slow),
    ],
)
def test_a_job_equals_the_run_alone_in_process_and_in_workers(
    exp, tmp_path: Path, chosen: tuple[str, ...], datasets: list[str]
):
    """Jobs of several shapes, some of which fail: alone, in this process, in one worker and in two."""
    common = ["epochs=2", "figures=false", "model.dropout=0.3", "batching.batch_size=25,100000"]
    orders = {
        "here": [f"dataset={','.join(datasets)}", "optimizer=lbfgs,adam", "sweep.workers=0"],
        "one": ["optimizer=adam,lbfgs", f"dataset={','.join(reversed(datasets))}", "sweep.workers=1"],
        "two": ["optimizer=adam,lbfgs", f"dataset={','.join(reversed(datasets))}", "sweep.workers=auto"],
    }
    runs: dict[frozenset[str], dict[str, Path]] = {}
    for name in chosen:
        arguments = orders[name]
        done = exp("-m", *common, *arguments, f"hydra.sweep.dir={name}")
        assert done.returncode == 1  # 100000
        for summary in (tmp_path / name).glob("*/summary.json"):
            content = json.loads(summary.read_text())
            runs.setdefault(frozenset(content["overrides"]), {})[name] = summary.parent
    assert len(runs) == 4 * len(datasets)
    for number, (arguments, folders) in enumerate(runs.items()):
        assert len(folders) == len(chosen)
        statuses = {json.loads((folder / "summary.json").read_text())["status"] for folder in folders.values()}
        (status,) = statuses
        assert (status == "failed") == ("batching.batch_size=100000" in arguments)
        assert status != "diverged" or "optimizer=lbfgs" in arguments  # LBFGS diverges on small batches
        if status != "failed":
            if number % 3 == 0:
                assert exp(*arguments, f"hydra.run.dir=alone/{number}").returncode == (status != "finished")
                folders["alone"] = tmp_path / f"alone/{number}"
            first, *others = folders.values()
            for other in others:
                kinds = {kind for kind, _ in find_differences(first, other)}
                # A run that diverged saved its last checkpoint at a time that depends on the clock.
                assert not kinds & {"metrics", "data", "status", *(["parameters"] if status == "finished" else [])}


@pytest.mark.parametrize("losses", ["auto", pytest.param("auto,huber", marks=pytest.mark.slow)])
def test_a_job_of_a_table_equals_the_run_alone(exp, tmp_path: Path, losses: str):
    """Targets of classes and of numbers after each other in one process; each restores its best parameters."""
    x = np.random.default_rng(0).normal(size=(200, 2))
    np.savez(tmp_path / "numbers.npz", x=x, y=1e6 + 1e4 * x.sum(1))
    np.savez(tmp_path / "classes.npz", x=x, y=(x.sum(1) > 0).astype(int))
    common = "dataset=arrays optimizer.lr=0.3 early_stopping.patience=3 figures=false threads=1".split()
    swept = f"dataset.path=numbers.npz,classes.npz loss={losses}"
    done = exp("-m", *common, *swept.split(), "sweep.workers=0", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    jobs = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "sweep").glob("*/summary.json")}
    assert len(jobs) == 2 * len(losses.split(","))
    for folder, job in jobs.items():
        alone = tmp_path / "alone" / folder.name
        assert exp(*job["overrides"], f"hydra.run.dir={alone}").returncode == 0
        assert job["restored_step"] < job["steps"]
        kinds = {kind for kind, _ in find_differences(folder, alone)}
        assert not kinds & {"metrics", "data", "status", "parameters"}


@pytest.mark.slow
def test_a_job_equals_the_run_alone_with_several_threads_in_several_workers(exp, tmp_path: Path):
    """With steps so large that torch uses several threads, two threads in each of two workers change no bit."""
    arguments = "dataset=digits model.hidden=[512] batching.batch_size=512 epochs=4 figures=false threads=2".split()
    assert exp("-m", *arguments, "seed=0,1", "sweep.workers=2", "hydra.sweep.dir=sweep").returncode == 0
    for seed in ("0", "1"):
        assert exp(*arguments, f"seed={seed}", f"hydra.run.dir={seed}").returncode == 0
        assert rows(tmp_path / "sweep" / seed) == rows(tmp_path / seed)
