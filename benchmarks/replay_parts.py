"""What each part of the replayed step saves: CPU microseconds per step with all parts, and without one of them.

python benchmarks/replay_parts.py                      the seven workloads of bench.py, one thread, about three minutes
python benchmarks/replay_parts.py cancer "noisy xor"   some of them

The variants train side by side in one process and take turns of the same number of steps, batches and metrics included.
The last columns are the median, over the turns, of the time without a part divided by the time with all of them.
"""

import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from bench import WORKLOADS
from hydra import compose, initialize_config_dir

from exp.config.schema import CONF
from exp.config.validation import validate
from exp.engine import codegen
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


# Part -> owner and name of the function that is replaced, and what replaces it.
PARTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "fastest_callable": (codegen, "fastest_callable", call_operator),
    "its probe": (codegen, "fastest_callable", call_entry_of_operator),
    "out_variant": (codegen, "out_variant", return_none),
    "memory reuse": (MemoryPlan, "advance", return_none),
}


@contextmanager
def without(part: str | None) -> Generator[None]:
    if part is None:
        yield
        return
    owner, name, stand_in = PARTS[part]
    whole = getattr(owner, name)
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, whole)


def advance(experiment: Experiment, stream: Any, steps: int) -> None:
    experiment.learner.advance(islice(stream, steps), [steps], experiment.data.train)


def measure(workload: str) -> None:
    running: dict[str | None, tuple[Experiment, Any]] = {}
    for part in (None, *PARTS):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = validate(compose("config", [*WORKLOADS[workload].split(), "engine=replay", "threads=1"]))
        with without(part):
            experiment = build(config)
            stream = iter(experiment.batches.stream())
            advance(experiment, stream, 2 * experiment.batches.steps_per_epoch + 8)
        assert experiment.learner.step.fallback_reason is None
        running[part] = experiment, stream
    experiment, stream = running[None]
    start = time.thread_time()
    advance(experiment, stream, 8)
    steps = max(2, min(256, int(8 * SECONDS_PER_TURN / (time.thread_time() - start))))
    seconds: dict[str | None, list[float]] = {name: [] for name in running}
    for turn in range(TURNS):
        first = turn % len(running)
        for name in [*list(running)[first:], *list(running)[:first]]:
            start = time.thread_time()
            advance(*running[name], steps)
            seconds[name].append((time.thread_time() - start) / steps)
    cells = [f"{statistics.median(seconds[None]) * 1e6:9.1f}"]
    for name in PARTS:
        ratios = sorted(mine / whole for mine, whole in zip(seconds[name], seconds[None], strict=True))
        quarter = len(ratios) // 4
        cells.append(f"{statistics.median(ratios):.3f} ({ratios[quarter]:.3f} to {ratios[-quarter - 1]:.3f})")
    print(f"{workload:18} {'  '.join(f'{cell:>24}' for cell in cells)}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    titles = ["us per step", *(f"without {part}" for part in PARTS)]
    print(f"{'':18} {'  '.join(f'{title:>24}' for title in titles)}")
    for chosen in sys.argv[1:] or WORKLOADS:
        measure(chosen)
