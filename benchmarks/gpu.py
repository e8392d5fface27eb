"""Print a table of the seven workloads on a GPU: how many microseconds a step takes in each engine.

python benchmarks/gpu.py                            all of it, in at most five minutes
python benchmarks/gpu.py cancer --seconds 30        one workload
python benchmarks/gpu.py --device cpu --seconds 60  where there is no GPU: whether this script works
python benchmarks/gpu.py --check                    whether there is a GPU at all

`plain` is a loop without exp, `eager` the step as torch runs it, `replayed` the list of its operator calls,
`captured` that list in a CUDA graph, one for each step, and `compiled` the step with compile=true. Each trains in
this process, with the default logging and validation and no files, for its share of the seconds. The first steps, in
which a step is traced, captured or compiled, are not counted. Compiling takes longest, so it comes last, and may find
no time left. A line below the table says whether the losses of an engine equal the eager ones to the bit, or how far
apart they are. The last line is the time of a sweep of 64 jobs.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bench import WORKLOADS
from hydra import compose, initialize_config_dir
from sweeps import RATES, SEEDS

from exp.config.schema import CONF, Config
from exp.config.validation import validate
from exp.engine import cuda_graph, make_loops
from exp.engine.python_loop import Loop
from exp.training.build import build
from exp.training.events import Trained
from exp.training.learner import Learner
from exp.training.loop import Training

ENGINES = {
    "eager": ["engine=eager"],
    "replayed": ["engine=replay"],
    "captured": ["engine=replay"],
    "windows": ["engine=replay"],
    "compiled": ["compile=true"],
}
ROWS = ["plain", *ENGINES]
SWEEP_SECONDS = 90  # after which it is stopped
WARM_UP = 100  # steps; a step proves itself in the first few, and a GPU's clocks rise


@dataclass
class Timed:
    """What a workload did under one engine in the time that it was given; the first steps are not timed."""

    made: int = 0
    timed: int = 0
    begun: float | None = None
    seconds: float = 0.0
    losses: dict[int, float] = field(default_factory=dict[int, float])
    fallback_reason: str | None = None

    @property
    def us(self) -> str:
        return f"{self.seconds / self.timed * 1e6:,.0f}" if self.timed else "too slow"


@dataclass(frozen=True)
class Watched(Learner):
    """The learner, that makes some hundred steps at a time, and notes when they are done."""

    found: Timed = field(default_factory=Timed)

    def advance(self, stacks: Iterable[Any], windows: Sequence[int], split: Any) -> Any:
        found = self.found
        if found.begun is None and found.made >= WARM_UP:
            found.begun = time.perf_counter()
        told = super().advance(stacks, windows, split)  # and has looked at the losses, so the device is done
        found.made += sum(windows)
        if found.begun is not None:
            found.timed += sum(windows)
            found.seconds = time.perf_counter() - found.begun
        return told


def config_of(overrides: str, *more: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return validate(compose("config", [*overrides.split(), *more, "threads=1"]))


def time_engine(overrides: str, engine: str, device: str, seconds: float) -> Timed:
    """Train until the run is over, or the seconds are."""
    config = config_of(overrides, f"device={device}", *ENGINES[engine])
    with capturing(engine):
        it = build(config)
        end = time.perf_counter() + seconds
        learner = Watched(**vars(it.learner))
        found = learner.found
        try:
            for event in Training(
                learner, it.batches, it.data, it.plan, stop_requested=lambda: time.perf_counter() > end
            ):
                if isinstance(event, Trained):
                    found.losses |= zip(event.at.step, event.columns["loss"], strict=True)
        except KeyboardInterrupt:
            if time.perf_counter() < end:  # a person's
                raise
    found.fallback_reason = learner.step.fallback_reason
    return found


def time_plain(overrides: str, device: str, seconds: float) -> Timed:
    """Train with a plain loop on the device, as contestants/plain.py does, without logging and validation."""
    it = build(config_of(overrides, f"device={device}", "engine=eager"))
    net, loss_of, update = it.model.train(), it.objective.criterion, it.learner.optimizer
    x, y, size = it.data.train.x, it.data.train.target, it.batches.size
    found, end = Timed(), time.perf_counter() + seconds
    while found.made < it.plan.steps and time.perf_counter() < end:
        order = torch.randperm(len(x), device=x.device) if it.batches.shuffle else None
        xs, ys = (x, y) if order is None else (x[order], y[order])
        if found.begun is None and found.made >= WARM_UP:
            found.begun = time.perf_counter()
        batches = list(zip(xs.split(size), ys.split(size), strict=True))[: it.batches.steps_per_epoch]
        for xb, yb in batches:
            update.zero_grad()
            loss_of(net(xb), yb).backward()
            update.step()
        if x.is_cuda:
            torch.cuda.synchronize()  # once per epoch, where exp waits for the losses
        found.made += len(batches)
        if found.begun is not None:
            found.timed += len(batches)
            found.seconds = time.perf_counter() - found.begun
    return found


def time_sweep(device: str) -> str:
    """Return the seconds of the sweep of benchmarks/sweeps.py, the whole process."""
    values = [f"optimizer.lr={','.join(map(str, RATES))}", f"seed={','.join(map(str, SEEDS))}", f"device={device}"]
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "exp", "-m", *values, "figures=false", "hydra.sweep.dir=sweep"]
        start = time.perf_counter()
        try:
            done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=SWEEP_SECONDS)
        except subprocess.TimeoutExpired:
            return f"more than {SWEEP_SECONDS} s"
        if done.returncode:
            return f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return f"{time.perf_counter() - start:.1f} s"


@contextmanager
def capturing(engine: str) -> Iterator[None]:
    """Replay call by call, as on a CPU, or in CUDA graphs of one step, unless `engine` is `windows`."""
    with pytest.MonkeyPatch.context() as patch:
        if engine == "replayed":
            patch.setattr(make_loops, "CudaGraphs", without_graphs)
        elif engine == "captured":
            patch.setattr(cuda_graph, "_WINDOW", sys.maxsize)
        yield


def without_graphs(loop: Loop, *_batch: Any) -> Any:
    return SimpleNamespace(step=loop, find=lambda _update, _count: None)


def compare(eager: Timed, other: Timed) -> str:
    """Return whether the losses that both have are equal to the bit, and otherwise how far apart they are."""
    both = sorted(eager.losses.keys() & other.losses.keys())
    apart = next((step for step in both if eager.losses[step] != other.losses[step]), None)
    if apart is None:
        same = f"the same {len(both):,} losses"
    else:
        far = max(abs(eager.losses[step] - other.losses[step]) / abs(eager.losses[step]) for step in both)
        same = f"another loss at step {apart:,}, up to {far:.1g} of it in {len(both):,} losses"
    return same if other.fallback_reason is None else f"{same}; eager after all: {other.fallback_reason}"


def main() -> None:
    arguments = parse_arguments()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"make gpu: torch {torch.__version__} sees no CUDA device here (python benchmarks/gpu.py --device cpu)"
        )
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or platform.machine()
    described = f"{where}, torch {torch.__version__}, Python {platform.python_version()}"
    if arguments.check:
        print(described)
        return
    rows = [
        row
        for row in arguments.only
        if row in ROWS and (arguments.device == "cuda" or row not in ("captured", "windows"))
    ]
    workloads = arguments.workloads or list(WORKLOADS)
    first = [(workload, row) for workload in workloads for row in rows if row != "compiled"]
    cells = [*first, *((workload, "compiled") for workload in workloads if "compiled" in rows)]
    end = time.perf_counter() + arguments.seconds
    results: dict[str, dict[str, Timed]] = {workload: {} for workload in workloads}
    for number, (workload, row) in enumerate(cells):
        left = end - time.perf_counter()
        if left <= 0:
            continue
        share = left / (len(cells) - number)
        if row == "plain":
            found = time_plain(WORKLOADS[workload], arguments.device, share)
        else:
            found = time_engine(WORKLOADS[workload], row, arguments.device, share)
        results[workload][row] = found
        print(f"{workload}, {row}: {found.us} in {found.made:,} steps", file=sys.stderr, flush=True)
    if rows:
        print(f"\nMicroseconds a step on {described}\n\n| | {' | '.join(workloads)} |\n|---|{'---|' * len(workloads)}")
    for row in rows:
        cell = (results[workload][row].us if row in results[workload] else "no time left" for workload in workloads)
        print(f"| {row} | {' | '.join(cell)} |")
    if "eager" in rows:
        print("\nLosses compared with the eager ones\n")
    for workload, by_row in results.items():
        for row in ENGINES:
            if row != "eager" and row in by_row and "eager" in by_row:
                print(f"{workload:18} {row:9} {compare(by_row['eager'], by_row[row])}")
    if "sweep" in arguments.only:
        print(f"\nA sweep of {len(RATES) * len(SEEDS)} jobs in one worker: {time_sweep(arguments.device)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"{', '.join(WORKLOADS)}; default: all")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    everything = [*ROWS, "sweep"]
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, metavar="ROW")
    parser.add_argument("--seconds", type=float, default=270.0, help="for the table")
    parser.add_argument("--check", action="store_true", help="only print the device")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        parser.error(f"unknown workload {', '.join(sorted(unknown))} (available: {', '.join(WORKLOADS)})")
    return arguments


if __name__ == "__main__":
    main()
