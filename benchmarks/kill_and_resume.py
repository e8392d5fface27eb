"""Kill runs (SIGKILL) at random moments, resume them, and compare them with an uninterrupted run.

python benchmarks/kill_and_resume.py             108 kills, about ten minutes
python benchmarks/kill_and_resume.py --kills 1   one per combination

Three modes x two engines x three kinds of model: dropout, a user's model with batch norm, and a linear one with a
scheduler stepped at every update and early stopping. Prints one row per combination; exit code 1 if any bit differs.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from exp.results import metrics_csv
from exp.results.compare_runs import find_differences

MODES = {"full": "batching=full epochs=6000", "online": "batching=online epochs=60", "minibatch": "epochs=500"}
KINDS = {
    "dropout, adam": "model.dropout=0.2 optimizer=adam",
    "batch norm, momentum": "--config-dir conf model=normed optimizer.momentum=0.9 batching.drop_last=true",
    "linear, schedule, patience": "model=linear scheduler=cosine scheduler.every=step early_stopping.patience=100",
}
NORMED = '''"""A net with batch norm."""
from torch import nn


class Normed(nn.Sequential):
    def __init__(self, in_features, out_features):
        super().__init__(nn.Linear(in_features, 8), Norm(8), nn.Tanh(), nn.Linear(8, out_features))


class Norm(nn.BatchNorm1d):
    """Batch norm that uses its running statistics for a batch of one row, as in online training."""

    def forward(self, x):
        return super().forward(x) if len(x) > 1 else nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
        )
'''


def start(folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "exp", *overrides]
    environment = os.environ | {"EXP_ALLOW": "normed", "PYTHONPATH": str(folder)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        sys.exit(errors.decode())


def kill_repeatedly(mode: str, engine: str, kind: str, kills: int) -> str:
    """Kill and resume a run several times; return a table row with the number of runs that are equal to the bit."""
    moments = random.Random(f"{mode} {engine} {kind}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conf/model").mkdir(parents=True)
        (folder / "conf/model/normed.yaml").write_text("_target_: normed.Normed\n")
        (folder / "normed.py").write_text(NORMED)
        line = [*KINDS[kind].split(), *MODES[mode].split(), f"engine={engine}"]
        line += ["dataset=moons", "dataset.n_samples=100", "figures=false", "threads=1"]
        start_time = time.monotonic()
        wait(start(folder, *line, "hydra.run.dir=uninterrupted"))
        seconds = time.monotonic() - start_time
        training = max(row.seconds for row in metrics_csv.read_rows(folder / "uninterrupted"))
        same, reached = 0, []
        for kill in range(kills):
            run = folder / f"run{kill}"
            overrides = [*line, f"hydra.run.dir={run.name}"]
            delay = seconds - moments.random() * training
            process = start(folder, *overrides)
            try:
                process.communicate(timeout=delay)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            rows = (run / "metrics.csv").read_text().count("\n") if (run / "metrics.csv").exists() else 0
            reached.append(rows)
            if (run / ".hydra/overrides.yaml").exists():
                overrides = [f"resume={run.name}"]
            wait(start(folder, *overrides))
            kinds = {kind for kind, _ in find_differences(folder / "uninterrupted", run)}
            same += kinds.isdisjoint({"metrics", "parameters"})
        return f"| {mode} | {engine} | {kind} | {same} of {kills} | {', '.join(map(str, reached))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    kills: int = parser.parse_args().kills
    print("| mode | engine | model | equal to the bit | rows in metrics.csv when killed |\n|---|---|---|---|---|")
    combinations = list(product(MODES, ["eager", "replay"], KINDS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda combination: kill_repeatedly(*combination, kills), combinations))
    print("\n".join(rows))
    equal = sum(f"| {kills} of {kills} |" in row for row in rows)
    print(f"\n{equal} of {len(rows)} combinations equal, {kills} kills each")
    sys.exit(equal != len(rows))


if __name__ == "__main__":
    main()
