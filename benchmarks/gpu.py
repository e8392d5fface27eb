"""Print a table of the seven workloads on a GPU: eager, replayed and captured steps.

python benchmarks/gpu.py                            all of it, in at most five minutes
python benchmarks/gpu.py cancer --seconds 30        one workload
python benchmarks/gpu.py --device cpu --seconds 60  where there is no GPU: whether this script works
python benchmarks/gpu.py --check                    whether there is a GPU at all

`eager` is the step as torch runs it, `replayed` the list of its operator calls, `captured` that list in a CUDA graph.
Each trains in this process, with the default logging and validation and no files, for its share of the seconds.
The first steps, in which a step is traced and captured, are not counted. A line below the table says whether the losses
of each engine equal the eager ones to the bit.
"""

import argparse
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from bench import WORKLOADS
from hydra import compose, initialize_config_dir

from exp.config.schema import CONF, validate
from exp.engine import replay
from exp.training.build import build
from exp.training.events import Trained
from exp.training.learner import Learner
from exp.training.loop import Training

ENGINES = {"eager": "eager", "replayed": "replay", "captured": "replay"}
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

    def advance(self, batches: Iterable[Any], windows: Sequence[int], split: Any) -> Any:
        found = self.found
        if found.begun is None and found.made >= WARM_UP:
            found.begun = time.perf_counter()
        told = super().advance(batches, windows, split)  # and has looked at the losses, so the device is done
        found.made += sum(windows)
        if found.begun is not None:
            found.timed += sum(windows)
            found.seconds = time.perf_counter() - found.begun
        return told


def timed(overrides: str, engine: str, device: str, seconds: float) -> Timed:
    """Train until it is done, or the seconds are over."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = validate(
            compose("config", [*overrides.split(), f"device={device}", f"engine={ENGINES[engine]}", "threads=1"])
        )
    with capturing(engine == "captured"):
        it = build(config)
        end = time.perf_counter() + seconds
        learner = Watched(**vars(it.learner))
        found = learner.found
        try:
            for event in Training(
                learner, it.batches, it.data, it.plan, stop_requested=lambda: time.perf_counter() > end
            ):
                if isinstance(event, Trained):
                    found.losses[event.at.step] = event.metrics.loss
        except KeyboardInterrupt:
            if time.perf_counter() < end:  # a person's
                raise
    found.fallback_reason = learner.step.fallback_reason
    return found


@contextmanager
def capturing(wanted: bool) -> Iterator[None]:
    """Replay call by call, as on a CPU, unless CUDA graphs are `wanted`."""
    kept = replay.capture_cuda_graph
    if not wanted:
        replay.capture_cuda_graph = lambda play, _x, _y: play
    try:
        yield
    finally:
        replay.capture_cuda_graph = kept


def verdict(eager: Timed, other: Timed) -> str:
    """Whether the losses that both have are equal to the bit, and else the first step at which they are not."""
    both = sorted(eager.losses.keys() & other.losses.keys())
    apart = next((step for step in both if eager.losses[step] != other.losses[step]), None)
    same = f"the same {len(both):,} losses" if apart is None else f"another loss at step {apart:,}"
    return same if other.fallback_reason is None else f"{same}; eager after all: {other.fallback_reason}"


def main() -> None:
    arguments = parsed()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"make gpu: torch {torch.__version__} sees no CUDA device here (python benchmarks/gpu.py --device cpu)"
        )
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or platform.machine()
    told = f"{where}, torch {torch.__version__}, Python {platform.python_version()}"
    if arguments.check:
        print(told)
        return
    engines = [engine for engine in ENGINES if arguments.device == "cuda" or engine != "captured"]
    workloads = arguments.workloads or list(WORKLOADS)
    cells = [(workload, engine) for workload in workloads for engine in engines]
    end = time.perf_counter() + arguments.seconds
    results: dict[str, dict[str, Timed]] = {workload: {} for workload in workloads}
    for number, (workload, engine) in enumerate(cells):
        share = (end - time.perf_counter()) / (len(cells) - number)
        found = timed(WORKLOADS[workload], engine, arguments.device, share)
        results[workload][engine] = found
        print(f"{workload}, {engine}: {found.us} in {found.made:,} steps", file=sys.stderr, flush=True)
    print(f"\nMicroseconds a step on {told}\n\n| | {' | '.join(workloads)} |\n|---|{'---|' * len(workloads)}")
    for engine in engines:
        print(f"| {engine} | {' | '.join(results[workload][engine].us for workload in workloads)} |")
    print("\nLosses beside the eager ones, to the bit\n")
    for workload, found in results.items():
        for engine in engines[1:]:
            print(f"{workload:18} {engine:9} {verdict(found['eager'], found[engine])}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; all of them if none is named")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=300.0, help="for all of it")
    parser.add_argument("--check", action="store_true", help="only say what the device is")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        parser.error(f"no workload is called {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    return arguments


if __name__ == "__main__":
    main()
