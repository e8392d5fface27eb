"""Runs killed (SIGKILL) at random moments, resumed, and compared with the run that nothing disturbed.

python benchmarks/kill_and_resume.py             108 kills, about ten minutes
python benchmarks/kill_and_resume.py --kills 1   one for each combination

Three modes x two engines x three kinds of model: dropout, a model of one's own with batch norm, and a linear one with
a schedule at every step and early stopping. Prints a row for each; exit code 1 if any differs in a bit.
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

from exp.diff import find_differences
from exp.results import metrics_csv

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
    """That takes a batch of one row, as online training has it, by its running statistics."""

    def forward(self, x):
        return super().forward(x) if len(x) > 1 else nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
        )
'''


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "exp", *words]
    environment = os.environ | {"EXP_ALLOW": "normed", "PYTHONPATH": str(folder)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate()
    if process.returncode:
        sys.exit(said.decode())


def trials(mode: str, engine: str, kind: str, kills: int) -> str:
    """A row of the table: how many of the killed and resumed runs were the undisturbed one."""
    moments = random.Random(f"{mode} {engine} {kind}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conf/model").mkdir(parents=True)
        (folder / "conf/model/normed.yaml").write_text("_target_: normed.Normed\n")
        (folder / "normed.py").write_text(NORMED)
        line = [*KINDS[kind].split(), *MODES[mode].split(), f"engine={engine}"]
        line += ["dataset=moons", "dataset.n_samples=100", "figures=false", "threads=1"]
        began = time.monotonic()
        ended(start(folder, *line, "hydra.run.dir=whole"))
        seconds = time.monotonic() - began
        training = max(row.seconds for row in metrics_csv.read_rows(folder / "whole"))
        same, reached = 0, []
        for kill in range(kills):
            run = folder / f"run{kill}"
            words, moment = [*line, f"hydra.run.dir={run.name}"], seconds - moments.random() * training
            process = start(folder, *words)
            try:
                process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            rows = (run / "metrics.csv").read_text().count("\n") if (run / "metrics.csv").exists() else 0
            reached.append(rows)
            if (run / ".hydra/overrides.yaml").exists():
                words = [f"resume={run.name}"]
            ended(start(folder, *words))
            found = [what for what in find_differences(folder / "whole", run) if what[0] in ("metrics", "parameters")]
            same += not found
        return f"| {mode} | {engine} | {kind} | {same} of {kills} | {', '.join(map(str, reached))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    kills: int = parser.parse_args().kills
    print("| mode | engine | model | the same to the bit | rows in metrics.csv when killed |\n|---|---|---|---|---|")
    combinations = list(product(MODES, ["eager", "replay"], KINDS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda these: trials(*these, kills), combinations))
    print("\n".join(rows))
    whole = sum(f"| {kills} of {kills} |" in row for row in rows)
    print(f"\n{whole} of {len(rows)} combinations whole, {kills} kills each")
    sys.exit(whole != len(rows))


if __name__ == "__main__":
    main()
