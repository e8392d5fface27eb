"""Time a sweep of 64 jobs, 16 learning rates x 4 seeds on the cancer data: the whole process, in turn.

python benchmarks/sweeps.py                  five rounds; Lightning needs pip install -c constraints.txt -e ".[bench]"
python benchmarks/sweeps.py --rounds 1 --only plain "exp, one worker"
python benchmarks/sweeps.py --only plain "exp, compiled" "exp, compiled, empty cache"
python benchmarks/sweeps.py --jobs 1000      one sweep of exp only: seconds, memory, TensorBoard's time to load
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATES = [round(0.001 * 1.5**step, 6) for step in range(16)]
SEEDS = [0, 1, 2, 3]

PLAIN = """
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import random_split

torch.set_num_threads(1)
table, classes = load_breast_cancer(return_X_y=True)
for lr in {rates}:
    for seed in {seeds}:
        torch.manual_seed(seed)
        train, val, test = (part.indices for part in random_split(range(569), [341, 113, 115]))
        x = torch.tensor(StandardScaler().fit(table[train]).transform(table), dtype=torch.float32)
        y = torch.tensor(classes)
        model = nn.Sequential(nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 2))
        criterion = nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        xs, ys = x[train], y[train]
        for epoch in range(20):
            order = torch.randperm(341)
            for xb, yb in zip(xs[order].split(10), ys[order].split(10)):
                optimizer.zero_grad()
                criterion(model(xb), yb).backward()
                optimizer.step()
        with torch.no_grad():
            print(lr, seed, criterion(model(x[val]), y[val]).item())
"""

LIGHTNING = """
import logging
import warnings

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)
table, classes = load_breast_cancer(return_X_y=True)


class Net(lightning.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr = lr
        self.model = nn.Sequential(nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 2))
        self.criterion = nn.CrossEntropyLoss()

    def training_step(self, batch):
        loss = self.criterion(self.model(batch[0]), batch[1])
        if not {barebones}:
            self.log("loss/train", loss)
        return loss

    def validation_step(self, batch):
        self.log("loss/val", self.criterion(self.model(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


for lr in {rates}:
    for seed in {seeds}:
        torch.manual_seed(seed)
        train, val, test = (part.indices for part in random_split(range(569), [341, 113, 115]))
        x = torch.tensor(StandardScaler().fit(table[train]).transform(table), dtype=torch.float32)
        y = torch.tensor(classes)
        net = Net(lr)
        loader = DataLoader(TensorDataset(x[train], y[train]), batch_size=10, shuffle=True)
        if {barebones}:
            trainer = lightning.Trainer(barebones=True, max_epochs=20, accelerator="cpu")
            trainer.fit(net, loader)
        else:
            trainer = lightning.Trainer(
                max_epochs=20, accelerator="cpu", log_every_n_steps=1, enable_progress_bar=False,
                enable_model_summary=False, logger=TensorBoardLogger("runs", name=f"{{lr}}_{{seed}}"),
            )
            trainer.fit(net, loader, DataLoader(TensorDataset(x[val], y[val]), batch_size=113))
        with torch.no_grad():
            print(lr, seed, net.criterion(net.model(x[val]), y[val]).item())
"""


def exp(*more: str) -> list[str]:
    sweep = [f"optimizer.lr={','.join(map(str, RATES))}", f"seed={','.join(map(str, SEEDS))}", "hydra.sweep.dir=sweep"]
    return [sys.executable, "-m", "exp", "-m", *sweep, *more]


def script(text: str, **more: object) -> list[str]:
    return [sys.executable, "-c", text.format(rates=RATES, seeds=SEEDS, **more)]


CONTESTANTS = {
    "plain": script(PLAIN),
    "exp, one worker": exp(),
    "exp, two workers": exp("sweep.workers=2"),
    "exp, compiled": exp("engine=compiled"),
    "exp, compiled, empty cache": ["env", "EXP_CACHE=cache", *exp("engine=compiled")],
    "exp, one worker, figures": exp("figures=true"),
    "exp, Hydra's basic launcher": exp("hydra/launcher=basic"),
    "Lightning, barebones": script(LIGHTNING, barebones=True),
    "Lightning, with its logger": script(LIGHTNING, barebones=False),
}


def measure(command: list[str], folder: Path) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(done.stderr)
    return seconds


def run_many_jobs(jobs: int) -> None:
    """Run one sweep of `jobs` jobs of exp."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "exp", "-m", f"seed=range(0,{jobs})", "hydra.sweep.dir=sweep"]
        seconds = measure(line, Path(folder))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{jobs:,} jobs: {seconds:.1f} s, {1000 * seconds / jobs:.0f} ms per job; peak memory {peak:.0f} MB")
        from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

        start = time.perf_counter()
        reader = EventMultiplexer().AddRunsFromDirectory(f"{folder}/sweep")
        reader.Reload()
        print(f"TensorBoard's reader: {time.perf_counter() - start:.1f} s for {len(reader.Runs()):,} runs")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(CONTESTANTS))
    parser.add_argument("--jobs", type=int)
    arguments = parser.parse_args()
    if arguments.jobs is not None:
        run_many_jobs(arguments.jobs)
        return
    times: dict[str, list[float]] = {name: [] for name in arguments.only}
    for _ in range(arguments.rounds):
        for name in times:
            with tempfile.TemporaryDirectory() as folder:
                times[name].append(measure(CONTESTANTS[name], Path(folder)))
    medians = {name: sorted(seconds)[len(seconds) // 2] for name, seconds in times.items()}
    for name, seconds in times.items():
        relative = f", {medians['plain'] / medians[name]:.2f} x as fast as plain" if "plain" in medians else ""
        print(f"{name:28} {medians[name]:6.2f} s ({min(seconds):.2f} to {max(seconds):.2f}){relative}")


if __name__ == "__main__":
    main()
