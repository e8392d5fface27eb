"""A sweep ranks each job by the parameters that its user gets: with early stopping the best ones."""

import csv
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import composed, config_of
from omegaconf import OmegaConf

import exp.run
from exp.config.metric_names import as_cost
from exp.config.run_spec import RunSpec
from exp.errors import Pruned
from exp.results import sweep_csv
from exp.results.trained_model import load_trained

COMMON = "dataset=moons epochs=30 figures=false early_stopping.patience=4"
RATES = ("0.0005", "1", "2", "3", "5", "8")  # the last two are soon better than the first, and end far worse


def val_values(run: Path, metric: str) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[metric]) for row in csv.DictReader(file) if row["split"] == "val"]


def test_jobs_that_stop_early_are_ranked_by_their_best_parameters(exp: Any, tmp_path: Path):
    done = exp("-m", *COMMON.split(), f"optimizer.lr={','.join(RATES)}", "hydra.sweep.dir=s", "sweep.workers=0")
    assert done.returncode == 0, done.stderr
    curves = {str(job): val_values(tmp_path / f"s/{job}", "loss") for job in range(len(RATES))}
    by_best, by_last = (sorted(curves, key=lambda job, of=of: of(curves[job])) for of in (min, lambda curve: curve[-1]))
    assert by_best != by_last
    for job, row in sweep_csv.read_rows(tmp_path / "s").items():
        assert row["loss/val"] == min(curves[job])
    assert re.findall(r"^([0-5]) ", done.stdout, re.MULTILINE) == by_best
    best = exp("best", "s")
    assert f"optimizer.lr={RATES[int(by_best[0])]}" in best.stdout
    evaluated = exp("evaluate", f"run=s/{by_best[0]}", "split=val")
    assert f"loss {min(curves[by_best[0]])!r}" in evaluated.stdout


@pytest.mark.slow
def test_without_it_they_are_ranked_by_their_last_parameters(exp: Any, tmp_path: Path):
    words = [*COMMON.split(), "early_stopping.restore_best=false"]
    done = exp("-m", *words, "optimizer.lr=1,3,5", "hydra.sweep.dir=s", "sweep.workers=0")
    assert done.returncode == 0, done.stderr
    for job, row in sweep_csv.read_rows(tmp_path / "s").items():
        assert row["loss/val"] == val_values(tmp_path / f"s/{job}", "loss")[-1]
        assert row["loss/val"] == load_trained(tmp_path / f"s/{job}").evaluate("val").loss


def test_a_pruned_job_has_the_metrics_of_the_parameters_that_commands_use(tmp_path: Path):
    for metric in ("loss", "accuracy"):
        words = [*COMMON.split(), "optimizer.lr=4", f"metric={metric}", "early_stopping.patience=9"]
        costs: list[float] = []

        def should_prune(epoch: float, metrics: dict[str, float], name: str = metric, seen: Any = costs) -> bool:
            seen.append(as_cost(name, metrics[name]))
            return epoch > 3 and seen[-1] > min(seen)

        folder = tmp_path / metric
        prune_run(folder, words, should_prune)
        summary = json.loads((folder / "summary.json").read_text())
        curve = val_values(folder, metric)
        best = min(curve, key=partial(as_cost, metric))
        assert summary["status"] == "pruned"
        assert curve[-1] != best
        assert summary["final"]["val"][metric] == summary["best"]["val"][metric] == best
        assert summary["last"]["val"][metric] == curve[-1]
        assert load_trained(folder).evaluate("val").values() == summary["final"]["val"]


def prune_run(folder: Path, words: list[str], should_prune: Any) -> None:
    """Run in this process, with Hydra's record of the run, and be pruned."""
    config = composed(*words)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    (folder / ".hydra/overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(words)))
    (folder / ".hydra/hydra.yaml").write_text("{}\n")
    choices = {"dataset": "moons", "model": "mlp", "optimizer": "sgd", "loss": "cross_entropy"}
    spec = RunSpec(config_of(*words), folder, OmegaConf.to_yaml(config, resolve=True), choices, words)
    try:
        exp.run.run(spec, should_prune=should_prune, quiet=True)
    except Pruned:
        return
    raise AssertionError("the run was not pruned")
