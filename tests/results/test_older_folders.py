"""Folders of versions before cross-validation, with their keys and defaults, are resumed."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import forking
import pytest

from exp.results.compare_runs import find_differences

LINE = "dataset=iris threads=1 figures=false".split()

# What a config has since, and what it was.
FORMER = [
    (r"(?m)^ *(folds|fold_repeats|fold|train_on_val|lr_factors|decay_factors): .*\n", ""),
    ("scaler: standard", "standardize: true"),
    ("scaler: none", "standardize: false"),
    ("stratify: auto", "stratify: false"),
    ("restore_best: auto", "restore_best: false"),
]
# Keys of a config that older ones do not have.
ADDED = ("folds", "fold_repeats", "fold", "dataset.train_on_val", "optimizer.lr_factors", "optimizer.decay_factors")


def age_run(run: Path) -> None:
    """Rewrite a folder into that of a version before cross-validation."""
    config = run / ".hydra/config.yaml"
    for new, old in FORMER:
        config.write_text(re.sub(new, old, config.read_text()))
    for path in (run / ".hydra/overrides.yaml", run / ".hydra/hydra.yaml", run / "summary.json"):
        path.write_text(path.read_text().replace("dataset.scaler=none", "dataset.standardize=false"))


def age_sweep(sweep: Path) -> None:
    content: dict[str, Any] = json.loads((sweep / "sweep.json").read_text())
    config = {key: value for key, value in content["config"].items() if key not in ADDED}
    config["dataset.standardize"] = config.pop("dataset.scaler") == "standard"
    config |= {"dataset.stratify": False, "early_stopping.restore_best": False}
    folders = {f"hash{number}": name for number, name in enumerate(content["folders"].values())}
    (sweep / "sweep.json").write_text(json.dumps({"folders": folders, "varied": content["varied"], "config": config}))
    for run in filter(Path.is_dir, sweep.glob("[0-9]*")):
        age_run(run)


@pytest.mark.parametrize("words", [pytest.param([], marks=pytest.mark.slow), ["dataset.scaler=none"]])
def test_a_run_is_resumed(words: list[str], tmp_path: Path):
    line = [*LINE, *words]
    assert forking.run("exp", [*line, "epochs=2", "hydra.run.dir=run"], tmp_path).returncode == 0
    age_run(tmp_path / "run")
    done = forking.run("exp", ["resume=run", "epochs=4"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert forking.run("exp", [*line, "epochs=4", "hydra.run.dir=whole"], tmp_path).returncode == 0
    kinds = {kind for kind, _ in find_differences(tmp_path / "run", tmp_path / "whole")}
    assert kinds.isdisjoint({"metrics", "parameters", "data"})


def test_a_change_is_refused(tmp_path: Path):
    assert forking.run("exp", [*LINE, "epochs=2", "hydra.run.dir=run"], tmp_path).returncode == 0
    age_run(tmp_path / "run")
    done = forking.run("exp", ["resume=run", "epochs=4", "dataset.scaler=none", "metric=accuracy"], tmp_path)
    assert (
        "cannot resume with a different config: dataset.scaler was standard, is now none; "
        "metric was loss, is now accuracy\n"
    ) in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("patience", ["null", "3"])
def test_a_sweep_is_resumed(patience: str, tmp_path: Path):
    line = [*LINE, "epochs=4", f"early_stopping.patience={patience}", "sweep.workers=0"]
    former = [*line, "early_stopping.restore_best=false", "seed=0,1", "hydra.sweep.dir=sweep"]
    assert forking.run("exp", ["-m", *former], tmp_path).returncode == 0
    age_sweep(tmp_path / "sweep")
    path = tmp_path / "sweep/multirun.yaml"  # older versions had this by default
    path.write_text(re.sub(r".*restore_best=false\n", "", path.read_text()))
    kept = (tmp_path / "sweep/0/metrics.csv").stat().st_mtime_ns
    shutil.rmtree(tmp_path / "sweep/1")
    done = forking.run("exp", ["-m", "sweep.resume=sweep"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "sweep").glob("[0-9]*")) == ["0", "1"]
    assert (tmp_path / "sweep/0/metrics.csv").stat().st_mtime_ns == kept
    assert "restored_step" not in (tmp_path / "sweep/1/summary.json").read_text()
    done = forking.run("exp", ["-m", "sweep.resume=sweep", "seed=0,1,2"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "sweep").glob("[0-9]*")) == ["0", "1", "2"]
    refused = forking.run("exp", ["-m", "sweep.resume=sweep", "dataset.scaler=none"], tmp_path)
    assert "dataset.scaler was standard, is now none" in refused.stderr
