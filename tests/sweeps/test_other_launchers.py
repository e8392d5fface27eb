"""A sweep with submitit or with Hydra's launchers: the same numbers and the same summary."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LINE = "-m dataset=moons epochs=2 figures=false threads=1 batching.batch_size=10,100000 seed=1,2".split()


@pytest.mark.parametrize("launcher", ["joblib", "basic"])
def test_a_search_uses_its_metric(launcher: str, tmp_path: Path):
    line = "-m hydra/sweeper=optuna dataset=moons epochs=2 figures=false hydra.sweeper.n_trials=3 hydra.sweep.dir=sweep"
    arguments = [
        *line.split(),
        "optimizer.lr=interval(0.001,1)",
        "sweep.metric=accuracy/val",
        f"hydra/launcher={launcher}",
    ]
    done = subprocess.run([sys.executable, "-m", "exp", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    jobs = [json.loads((tmp_path / "sweep" / str(job) / "summary.json").read_text()) for job in range(3)]
    best = max(job["final"]["val"]["accuracy"] for job in jobs)
    trials = [line for line in done.stdout.splitlines() if line.startswith("trial ")]
    assert len(trials) == 3
    assert [line for line in trials if "the best so far" in line][-1].endswith(f": {best:.4g}, the best so far")


@pytest.mark.parametrize("launcher", ["joblib hydra.launcher.n_jobs=2", "submitit_local", "basic"])
def test_other_launchers_give_the_same_numbers_and_summary(launcher: str, tmp_path: Path):
    summaries = {}
    for name, arguments in {"ours": [], "theirs": f"hydra/launcher={launcher}".split()}.items():
        command = [sys.executable, "-m", "exp", *LINE, *arguments, f"hydra.sweep.dir={name}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        summaries[name] = [line for line in done.stdout.splitlines() if "failed " in line or "±" in line]
    assert summaries["ours"] == summaries["theirs"]
    for job in range(4):
        ours, theirs = (json.loads((tmp_path / name / str(job) / "summary.json").read_text()) for name in summaries)
        assert [ours[key] for key in ("status", "final", "best", "overrides")] == [
            theirs[key] for key in ("status", "final", "best", "overrides")
        ]
