"""Microseconds of CPU time a step: eager, replayed and compiled, in windows of 256 steps, in turn, with one thread.

python benchmarks/compiled_steps.py                    the seven workloads of bench.py, one of middle size, and RealMLP
python benchmarks/compiled_steps.py cancer --rounds 9

Rows are there in the order in which they are used; nothing is evaluated or written. Compiling: seconds of the first two
steps, the checks included, without a library in the cache and with one.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from exp.compiled.compiled_step import FIRST, CompiledStep
from exp.data.batches import Stack
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep
from exp.models.mlp import MLP
from exp.models.realmlp import RealMLP

SECONDS = 0.2  # of each engine and round
WINDOW, MAX_VALUES = 256, 2**21

Workload = tuple[nn.Module, nn.Module, Tensor, Tensor, int]


def ring() -> tuple[Tensor, Tensor]:
    x = torch.randn(1100, 2)
    return x, (x.prod(1, keepdim=True) > 0).float()


def table(rows: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(rows, 30)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def corners() -> tuple[Tensor, Tensor]:
    x = torch.randint(2, (2560, 2)).float()
    return x + 0.2 * torch.randn(2560, 2), (x.sum(1, keepdim=True) == 1).float()


def grid() -> tuple[Tensor, Tensor]:
    line = torch.linspace(-1, 1, 201)
    x = torch.cartesian_prod(line, line).contiguous()
    return x, x.prod(1, keepdim=True).sin()


def deep() -> nn.Module:
    return MLP(2, 1, [64] * 5, output_activation="sigmoid")


def real() -> nn.Module:
    options: dict[str, Any] = {"embedding": "pbld", "parametric": True, "dropout": 0.15, "steps": 10**6}
    return RealMLP(30, 2, [256] * 3, **options)


XOR = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([0, 1, 1, 0])

WORKLOADS: dict[str, Callable[[], Workload]] = {
    "online": lambda: (deep(), nn.BCELoss(), *ring(), 1),
    "minibatch": lambda: (deep(), nn.BCELoss(), *ring(), 10),
    "cancer": lambda: (MLP(30, 2, [10]), nn.CrossEntropyLoss(), *table(340), 10),
    "noisy xor": lambda: (MLP(2, 1, [4], activation="tanh"), nn.BCEWithLogitsLoss(), *corners(), 128),
    "4-point xor": lambda: (MLP(2, 2, [4, 2], activation="sigmoid"), nn.CrossEntropyLoss(), *XOR, 4),
    "full 1,100": lambda: (deep(), nn.BCELoss(), *ring(), 1100),
    "regression 40,401": lambda: (MLP(2, 1, [3], activation="sigmoid"), nn.MSELoss(), *grid(), 40401),
    "middle": lambda: (MLP(30, 2, [256] * 3), nn.CrossEntropyLoss(), *table(7168), 256),
    "realmlp": lambda: (real(), nn.CrossEntropyLoss(label_smoothing=0.1), *table(7168), 256),
}


def build(name: str) -> tuple[EagerStep, Stack]:
    """Return the step of a workload, and a window of its batches."""
    torch.manual_seed(0)
    model, criterion, x, y, rows = WORKLOADS[name]()
    optimizer = AdamW if name in ("middle", "realmlp") else SGD
    steps = max(1, min(WINDOW, MAX_VALUES // (rows * x.shape[1])))
    order = torch.arange(steps * rows) % len(x)
    stack = Stack(x[order].unflatten(0, (steps, rows)), y[order].unflatten(0, (steps, rows)))
    return EagerStep(model, criterion, optimizer(model.parameters(), lr=0.001)), stack


def measure(name: str, rounds: int) -> None:
    makers: dict[str, Callable[[EagerStep], Any]] = {
        "eager": lambda eager: eager,
        "replay": lambda eager: ReplayStep(eager, RecordedSteps()),
        "compiled": lambda eager: CompiledStep(eager, RecordedSteps()),
    }
    engines: dict[str, Callable[[], None]] = {}
    first: list[float] = []
    with torch.no_grad():
        for engine in ("compiled", *makers):
            eager, stack = build(name)
            step = makers[engine](eager)
            began = time.perf_counter()
            step([stack.split(FIRST + 1)[0]])
            first += [time.perf_counter() - began] if engine == "compiled" else []
            for _ in range(1 if engine == "eager" else 1200 // len(stack) + 1):  # beyond the first, slower steps
                step([stack])
            assert step.fallback_reason is None, step.fallback_reason
            part = stack.split(64)[0] if engine == "eager" else stack
            engines[engine] = lambda step=step, part=part: step([part])
        lengths = {engine: min(len(stack), 64) if engine == "eager" else len(stack) for engine in engines}
        times: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            for engine, run in engines.items():
                began, count = time.process_time(), 0
                while time.process_time() - began < SECONDS:
                    run()
                    count += lengths[engine]
                times[engine].append((time.process_time() - began) / count * 1e6)
    median = {engine: statistics.median(values) for engine, values in times.items()}
    ratios = {
        engine: statistics.median(a / b for a, b in zip(times[engine], times["compiled"], strict=True))
        for engine in ("eager", "replay")
    }
    print(
        f"| {name} | {median['eager']:,.0f} | {median['replay']:,.1f} | {median['compiled']:,.2f} "
        f"| {ratios['eager']:.1f} | {ratios['replay']:.1f} | {first[0]:.2f} | {first[1]:.3f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| | eager | replay | compiled | eager / compiled | replay / compiled | compiling, s | from the cache, s |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["EXP_CACHE"] = cache
        for name in arguments.workloads or WORKLOADS:
            measure(name, arguments.rounds)


if __name__ == "__main__":
    main()
