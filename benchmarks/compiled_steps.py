"""Microseconds of CPU time a step: eager, replayed, compiled and in JAX, in windows of 256 steps, in turn, on one core.

python benchmarks/compiled_steps.py                    the eight workloads of bench.py, `middle` with weights that
                                                       make it confident, and RealMLP
python benchmarks/compiled_steps.py cancer --rounds 9

Rows are there in the order in which they are used; nothing is evaluated or written. Each call returns the losses and
outputs of its steps. Compiling: seconds of the first steps, the checks included, without a library in the cache and
with one; for JAX, the first call. JAX takes part if it is installed: pip install -c constraints.txt -e ".[bench]"
"""

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from exp.compiled.compiled_step import FIRST, CompiledStep
from exp.data.stack import Stack
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep
from exp.models.mlp import MLP
from exp.models.realmlp import RealMLP

SECONDS = 0.2  # of each engine and round
WINDOW, MAX_VALUES = 256, 2**21
STEPS = 1200  # at least, before each engine is measured: it has compiled its loops then
LR = 1e-5  # so small that no numbers become subnormal, which is slow, however many steps an engine makes
HAS_JAX = importlib.util.find_spec("jax") is not None
os.environ |= {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"}


@dataclass(frozen=True)
class Workload:
    """A network, its rows and how it is trained on them."""

    make_model: Callable[[], nn.Module]
    criterion: nn.Module
    rows: Callable[[], tuple[Tensor, Tensor]]
    batch_size: int
    optimizer: type[Optimizer] = SGD
    lr: float = LR


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


def real() -> nn.Module:
    options: dict[str, Any] = {"embedding": "pbld", "parametric": True, "dropout": 0.15, "steps": 10**6}
    return RealMLP(30, 2, [256] * 3, **options)


def xor() -> tuple[Tensor, Tensor]:
    return torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.0], [1], [1], [0]])


def mlp(*widths: int, **options: Any) -> Callable[[], nn.Module]:
    return lambda: MLP(widths[0], widths[-1], widths[1:-1], **options)


DEEP = mlp(2, *[64] * 5, 1, output_activation="sigmoid")
BROAD = mlp(30, 256, 256, 256, 2)
SIGMOIDS = {"activation": "sigmoid", "output_activation": "sigmoid"}
WORKLOADS = {
    "online": Workload(DEEP, nn.BCELoss(), ring, 1),
    "minibatch": Workload(DEEP, nn.BCELoss(), ring, 10),
    "cancer": Workload(mlp(30, 10, 2), nn.CrossEntropyLoss(), lambda: table(340), 10),
    "noisy xor": Workload(mlp(2, 4, 1, activation="tanh"), nn.BCEWithLogitsLoss(), corners, 128),
    "4-point xor": Workload(mlp(2, 3, 1, **SIGMOIDS), nn.MSELoss(), xor, 4),
    "full 1,100": Workload(DEEP, nn.BCELoss(), ring, 1100),
    "regression 40,401": Workload(mlp(2, 3, 1, activation="sigmoid"), nn.MSELoss(), grid, 40401),
    "middle": Workload(BROAD, nn.CrossEntropyLoss(), lambda: table(7168), 256, AdamW),
    "confident": Workload(BROAD, nn.CrossEntropyLoss(), lambda: table(7168), 256, AdamW, 0.001),
    "realmlp": Workload(real, nn.CrossEntropyLoss(label_smoothing=0.1), lambda: table(7168), 256, AdamW),
}


def build(workload: Workload) -> tuple[EagerStep, Stack]:
    """Return the step of a workload, and a window of its batches."""
    torch.manual_seed(0)
    model, (x, y), rows = workload.make_model(), workload.rows(), workload.batch_size
    steps = max(1, min(WINDOW, MAX_VALUES // (rows * x.shape[1])))
    order = torch.arange(steps * rows) % len(x)
    stack = Stack.of(x[order].unflatten(0, (steps, rows)), y[order].unflatten(0, (steps, rows)))
    return EagerStep(model, workload.criterion, workload.optimizer(model.parameters(), lr=workload.lr)), stack


def build_in_jax(name: str) -> tuple[Callable[[], object], float] | None:
    """Return what makes a window of steps in JAX, and the seconds of its first call; None: it cannot."""
    if not HAS_JAX or name == "realmlp":
        return None
    sys.path.insert(0, str(Path(__file__).parent / "contestants"))
    import jax
    import jax_net
    from task import Task

    eager, stack = build(WORKLOADS[name])
    layers = [module for module in eager.model.modules() if isinstance(module, nn.Linear)]
    names = [type(module).__name__.lower() for module in eager.model.modules() if not list(module.children())]
    task = Task(
        *(stack.x[0].numpy(), stack.y[0].numpy()),
        weights=[layer.weight.detach().numpy().T for layer in layers],
        biases=[layer.bias.detach().numpy() for layer in layers],
        activation=names[1],
        output_activation=None if names[-1] == "linear" else names[-1],
        loss=type(eager.criterion).__name__,
        optimizer=type(eager.optimizer).__name__,
        hyperparameters={"lr": WORKLOADS[name].lr},
        epochs=1,
        batch_size=stack.batch_size,
        shuffle=False,
        drop_last=False,
    )
    state, step = jax_net.make_step(task)
    batches = jax.numpy.asarray(stack.x.numpy()), jax.numpy.asarray(stack.y.numpy())
    window = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches))
    states = [state]

    def run() -> None:
        states[0], computed = window(states[0], batches)
        jax.block_until_ready((states[0], computed))

    began = time.perf_counter()
    run()
    return run, time.perf_counter() - began


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
            eager, stack = build(WORKLOADS[name])
            step = makers[engine](eager)
            began = time.perf_counter()
            step([stack.split(FIRST + 1)[0]])
            first += [time.perf_counter() - began] if engine == "compiled" else []
            for _ in range(STEPS // len(stack) + 1):
                step([stack])
            assert step.fallback_reason is None, step.fallback_reason
            part = stack.split(64)[0] if engine == "eager" else stack
            engines[engine] = lambda step=step, part=part: step([part])
        in_jax = build_in_jax(name)
        if in_jax is not None:
            engines["jax"], seconds_of_jax = in_jax
        lengths = {engine: min(len(stack), 64) if engine == "eager" else len(stack) for engine in engines}
        times: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            for engine, run in engines.items():
                began, count = time.process_time(), 0
                while time.process_time() - began < SECONDS:
                    run()
                    count += lengths[engine]
                times[engine].append((time.process_time() - began) / count * 1e6)
    median = {engine: f"{statistics.median(values):,.3g}" for engine, values in times.items()}
    ratios = {
        engine: f"{statistics.median(a / b for a, b in zip(values, times['compiled'], strict=True)):.3g}"
        for engine, values in times.items()
    }
    of_jax = [median["jax"], ratios["jax"], f"{seconds_of_jax:.2f}"] if in_jax else ["-"] * 3
    cells = [median["eager"], median["replay"], median["compiled"], of_jax[0], ratios["eager"], ratios["replay"]]
    cells += [of_jax[1], f"{first[0]:.2f}", f"{first[1]:.3f}", of_jax[2]]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(
        "| | eager | replay | compiled | JAX | eager / compiled | replay / compiled | JAX / compiled "
        "| compiling, s | from the cache, s | JAX compiling, s |\n" + "|---" * 11 + "|"
    )
    with tempfile.TemporaryDirectory() as cache:
        os.environ["EXP_CACHE"] = cache
        for name in arguments.workloads or WORKLOADS:
            measure(name, arguments.rounds)


if __name__ == "__main__":
    main()
