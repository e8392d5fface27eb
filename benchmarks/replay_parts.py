"""What each part of the replayed step saves: CPU microseconds per step with all parts, and without one of them.

python benchmarks/replay_parts.py                      the seven workloads of bench.py, one thread, about three minutes
python benchmarks/replay_parts.py cancer "noisy xor"   some of them

The variants train side by side in one process and take turns of the same number of steps, batches and metrics included.
The last columns are the median, over the turns, of the time without a part divided by the time with it.
"""

import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from bench import WORKLOADS
from hydra import compose, initialize_config_dir

from exp.config.schema import CONF
from exp.config.validation import validate
from exp.engine import program, python_loop, script_loop
from exp.engine.memory_plan import MemoryPlan
from exp.engine.trace import OpCall
from exp.training.build import Experiment, build

TURNS = 41
SECONDS_PER_TURN = 0.04


def call_operator(call: OpCall) -> tuple[Callable[..., Any], OpCall]:
    return call.operator, call


def call_entry_of_operator(call: OpCall) -> tuple[Callable[..., Any], OpCall]:
    return call.operator._op, call


def return_none(*_arguments: object) -> None:
    """Stand in for a part that is left out."""


# (owner, name, what takes its place)
Replacement: TypeAlias = tuple[Any, str, Any]
SCRIPT: Replacement = (script_loop, "_STEPS_BEFORE_SCRIPT", 0)
PYTHON: Replacement = (script_loop, "_STEPS_BEFORE_SCRIPT", sys.maxsize)

# Variant -> what makes it. Those after the second one are compared with it, because they are parts of Python's loop.
VARIANTS: dict[str, list[Replacement]] = {
    "everything": [SCRIPT],
    "without TorchScript": [PYTHON],
    "without fastest_callable": [PYTHON, (python_loop, "fastest_callable", call_operator)],
    "without its probe": [PYTHON, (python_loop, "fastest_callable", call_entry_of_operator)],
    "without out_variant": [PYTHON, (program, "out_variant", return_none)],
    "without memory reuse": [PYTHON, (MemoryPlan, "advance", return_none)],
}


@contextmanager
def replaced(variant: str) -> Generator[None]:
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in VARIANTS[variant]]
    try:
        for owner, name, stand_in in VARIANTS[variant]:
            setattr(owner, name, stand_in)
        yield
    finally:
        for owner, name, whole in kept:
            setattr(owner, name, whole)


def advance(experiment: Experiment, stream: Any, steps: int) -> None:
    experiment.learner.advance(stream.take(steps), [steps], experiment.data.train)


def measure(workload: str) -> None:
    running: dict[str, tuple[Experiment, Any]] = {}
    for variant in VARIANTS:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = validate(compose("config", [*WORKLOADS[workload].split(), "engine=replay", "threads=1"]))
        with replaced(variant):
            experiment = build(config)
            stream = experiment.batches.stream()
            advance(experiment, stream, 2 * experiment.batches.steps_per_epoch + 8)
        assert not experiment.learner.step.notes
        running[variant] = experiment, stream
    start = time.thread_time()
    advance(*running["everything"], 8)
    steps = max(2, min(256, int(8 * SECONDS_PER_TURN / (time.thread_time() - start))))
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for turn in range(TURNS):
        first = turn % len(running)
        for name in [*list(running)[first:], *list(running)[:first]]:
            with replaced(name):
                start = time.thread_time()
                advance(*running[name], steps)
                seconds[name].append((time.thread_time() - start) / steps)
    cells = [f"{statistics.median(seconds['everything']) * 1e6:9.1f}"]
    base = "everything"
    for name in list(VARIANTS)[1:]:
        ratios = sorted(mine / whole for mine, whole in zip(seconds[name], seconds[base], strict=True))
        quarter = len(ratios) // 4
        cells.append(f"{statistics.median(ratios):.3f} ({ratios[quarter]:.3f} to {ratios[-quarter - 1]:.3f})")
        base = "without TorchScript"
    print(f"{workload:18} {'  '.join(f'{cell:>24}' for cell in cells)}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    titles = ["us per step", *list(VARIANTS)[1:]]
    print(f"{'':18} {'  '.join(f'{title:>24}' for title in titles)}")
    for chosen in sys.argv[1:] or WORKLOADS:
        measure(chosen)
