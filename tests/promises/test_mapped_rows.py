"""Promises 1 and 3 for rows in mapped files: the bits of rows in memory and of the plain script, also after kill -9."""

import csv
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest

from exp.results import checkpoints

LINE = (
    "dataset=arrays dataset.path=x.npy dataset.y_path=y.npy model=mlp model.dropout=0.2 optimizer=adam epochs=3 "
    "batching.batch_size=10 save_every=50 figures=false threads=1"
).split()


def write_arrays(folder: Path, rows: int) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 6)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", (x.sum(1) + draw.normal(size=rows) > 0).astype(np.int64))


def results(run: Path) -> tuple[Any, ...]:
    with (run / "metrics.csv").open() as file:
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    states = [checkpoints.read(run / "checkpoints" / name) for name in ("last.pt", "best.pt")]
    return rows, [{name: tensor.numpy().tobytes() for name, tensor in state["model"].items()} for state in states]


@pytest.mark.parametrize("is_new_process", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_mapped_run_has_the_bits_of_one_in_memory_and_of_the_plain_script(
    exp: Any, is_new_process: bool, tmp_path: Path
):
    """The script runs in a fork too, which has the imports of exp and would hide one that the script lacks."""
    write_arrays(tmp_path, 1000)
    for storage in ("memory", "mapped"):
        done = exp(*LINE, f"dataset.storage={storage}", f"hydra.run.dir={storage}", EXP_CACHE="cache")
        assert done.returncode == 0, done.stderr
    assert results(tmp_path / "mapped") == results(tmp_path / "memory")
    exported = exp("export", "run=mapped", "format=script", "out=train.py", EXP_CACHE="cache")
    assert exported.returncode == 0, exported.stderr
    script = (
        subprocess.run([sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True)
        if is_new_process
        else forking.run("train", [], tmp_path)
    )
    assert script.returncode == 0, script.stderr
    with (tmp_path / "mapped/metrics.csv").open() as file:
        losses = [(row["split"], float(row["loss"])) for row in csv.DictReader(file) if row["split"] in ("val", "test")]
    printed = re.findall(r"^(val|test) \d+ (\S+)", script.stdout, re.MULTILINE)
    assert {(name, float(value)) for name, value in printed} == set(losses)


@pytest.mark.parametrize("is_cleared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_mapped_run_killed_in_mid_epoch_resumes_to_the_same_bits(is_cleared: bool, tmp_path: Path):
    """Also if its prepared rows were removed, and on rows in memory."""
    write_arrays(tmp_path, 20_000)
    line = [*LINE, "dataset.storage=mapped", "model.hidden=[8]"]
    environment = {"EXP_CACHE": str(tmp_path / "cache")}

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return forking.begin("exp", *words, folder=tmp_path, **environment).completed()

    done = run(*line, "hydra.run.dir=whole")
    assert done.returncode == 0, done.stderr
    process = forking.begin("exp", *line, "hydra.run.dir=run", folder=tmp_path, **environment)
    while not (tmp_path / "run/checkpoints/last.pt").exists():
        time.sleep(0.001)
        assert process.poll() is None
    process.kill()
    assert process.wait() == -9
    if is_cleared:
        assert "removed" in run("cache", "clear", "yes=true").stdout
    more = ["dataset.storage=memory"] if is_cleared else []
    done = run("resume=run", *more)
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert results(tmp_path / "run") == results(tmp_path / "whole")
    step = int(re.search(r"resumed .*?step ([\d,]+)", done.stdout)[1].replace(",", ""))  # type: ignore[index]
    assert step % 1200 > 0, done.stdout
