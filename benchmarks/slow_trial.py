"""Time a search with two workers, one of whose 40 trials takes 20 times as long as the others.

python benchmarks/slow_trial.py                  for another version of exp: PYTHONPATH=.../src
python benchmarks/slow_trial.py --seconds 0.2    shorter trials

The trials sleep. They are compared with 40 equal trials that sleep as long in all. The time is that from the first
job's start to the last one's end, which leaves out the start of exp and of its workers.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna

TRIALS, SLOWER = 40, 20
ROWS = """
import time
from sklearn.datasets import make_moons

def rows(seconds):
    time.sleep(seconds)
    return make_moons(100, random_state=0)
"""
YAML = "_target_: sleepy.rows\nseconds: 1.0\nsplit: [.6, .2, .2]\nstandardize: true\n"


def search(folder: Path, sleeps: list[float]) -> float:
    """Return the seconds of a search whose trials sleep for so many seconds."""
    (folder / "mine/dataset").mkdir(parents=True)
    (folder / "mine/sleepy.py").write_text(ROWS)
    (folder / "mine/dataset/sleepy.yaml").write_text(YAML)
    storage = f"sqlite:///{folder}/study.db"
    study = optuna.create_study(storage=storage, study_name="exp")
    for seconds in sleeps:
        study.enqueue_trial({"dataset.seconds": str(seconds)})
    line = ["--config-dir", "mine", "-m", "dataset=sleepy", "epochs=1", "figures=false", "preflight=off"]
    space = [f"dataset.seconds={min(sleeps)},{SLOWER * min(sleeps)}", "optimizer.lr=tag(log,interval(0.01,1))"]
    settings = [f"n_trials={TRIALS}", f"storage={storage}", "sampler=random", "pruner=none"]
    more = ["sweep.workers=2", "hydra.sweep.dir=sweep", *(f"hydra.sweeper.{one}" for one in settings)]
    command = [sys.executable, "-m", "exp", *line, "hydra/sweeper=optuna", *space, *more]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "EXP_ALLOW": "sleepy"}
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    jobs = [folder / "sweep" / str(number) for number in range(TRIALS)]
    starts = [os.stat(job / ".hydra/overrides.yaml").st_mtime for job in jobs]
    return max(os.stat(job / "summary.json").st_mtime for job in jobs) - min(starts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a fast trial (1)")
    fast = parser.parse_args().seconds
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    equal = fast * (TRIALS - 1 + SLOWER) / TRIALS
    baseline = math.nan
    for slow_at in (None, 0, TRIALS // 4, TRIALS // 2):
        sleeps = [equal] * TRIALS if slow_at is None else [fast] * TRIALS
        if slow_at is not None:
            sleeps[slow_at] *= SLOWER
        with tempfile.TemporaryDirectory() as folder:
            seconds = search(Path(folder), sleeps)
        baseline = seconds if slow_at is None else baseline
        what = "equal trials" if slow_at is None else f"trial {slow_at + 1} slow"
        print(f"{what:<14} {seconds:6.1f} s  {100 * (seconds / baseline - 1):+.0f} %", flush=True)


if __name__ == "__main__":
    main()
