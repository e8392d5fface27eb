"""A cross-validation as a sweep: the means over its folds in files, terminal, report and TensorBoard."""

import csv
import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exp.api import SweepResult


def test_folds_are_averaged_and_the_best_choice_is_named(exp, tmp_path: Path):
    line = (
        "-m dataset=iris folds=3 optimizer.lr=0.0001,0.1 epochs=5 figures=false sweep.workers=0 hydra.sweep.dir=sweep"
    )
    done = exp(*line.split())
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "sweep"
    with (folder / "folds.csv").open() as file:
        means = {row["optimizer.lr"]: row for row in csv.DictReader(file)}
    with (folder / "sweep.csv").open() as file:
        jobs = list(csv.DictReader(file))
    losses = {lr: [float(job["loss/test"]) for job in jobs if job["optimizer.lr"] == lr] for lr in means}
    rows = [json.loads((folder / job["job"] / "summary.json").read_text())["rows"] for job in jobs]
    assert {(of["train"], of["val"], of["test"]) for of in rows} == {(75, 25, 50)}
    for lr, row in means.items():
        reach = stats.t.ppf(0.975, 2) * math.sqrt((1 / 3 + 50 / 75) * statistics.variance(losses[lr]))
        middle = statistics.fmean(losses[lr])
        interval = float(row["loss/test low"]), float(row["loss/test high"])
        assert (row["n"], row["lost"]) == ("3", "0")
        assert interval == pytest.approx((middle - reach, middle + reach))

    t = np.subtract(*losses.values())
    corrected = t.mean() / math.sqrt((1 / 3 + 50 / 75) * t.var(ddof=1))
    assert 2 * stats.t.sf(corrected, 2) < 0.05
    printed = done.stdout.splitlines()
    best = next(line for line in printed if line.startswith("best      "))
    assert best.endswith(
        "lr=0.1; the other choice is worse (paired t-test over 3 folds, corrected for shared rows, 95 %)"
    )
    assert [line.split()[:3] for line in printed if line.startswith("0.")] == [
        ["0.1", "3", "yes"],
        ["0.0001", "3", "no"],
    ]
    page = (folder / "report.html").read_text()
    assert f"Best: {best.removeprefix('best      ')}." in page
    assert "over folds, best first" in page

    events = EventAccumulator(str(folder / "folds/lr=0.1"), {"scalars": 0, "tensors": 0}).Reload()
    final = [point.value for point in events.Scalars("loss/val")][-1]
    assert final == pytest.approx(float(means["0.1"]["loss/val"]), rel=1e-6)

    result = SweepResult(folder)
    assert list(result.folds["n"]) == [3, 3]
    assert result.seeds is None
