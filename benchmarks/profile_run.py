"""Where the seconds of one run go, from the start of the process to its end.

python benchmarks/profile_run.py                              the main job
python benchmarks/profile_run.py dataset=xor epochs=10000     another
"""

import builtins
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 5

# What a run pays so that it can be trusted: refused before it begins, gone on with after it was killed.
TRUST = ("checks of the config", "targets read in their source", "preflight", "checkpoints")

# The package that a module belongs to, or that brings it along.
PACKAGES = {
    "torch": "torch",
    "sklearn": "scikit-learn",
    "scipy": "scikit-learn",
    "matplotlib": "matplotlib",
    "hydra": "hydra",
    "omegaconf": "hydra",
    "tensorboard": "tensorboard",
    "rich": "rich",
}


class Stopwatch:
    """Seconds by label, of what is innermost at the time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stack = ["the rest"]
        self._since = time.perf_counter()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] = self.seconds.get(self._stack[-1], 0.0) + now - self._since
        self._since = now

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._stack.append(label)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._stack.pop()

        return call

    def watch(self, owner: Any, name: str, label: str) -> None:
        setattr(owner, name, self.timed(label, getattr(owner, name)))


def child(typed: list[str]) -> None:
    """One run, in this process, and its seconds by label as the last line printed."""
    watch = Stopwatch()
    really_import = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        package = PACKAGES.get(name.partition(".")[0])
        if package is None or name in sys.modules:
            return really_import(name, *rest, **more)
        return watch.timed(f"import {package}", really_import)(name, *rest, **more)

    builtins.__import__ = importing
    sys.argv = ["exp", *typed]
    import hydra.core.utils
    from hydra._internal.hydra import Hydra

    import exp.config
    from exp.cli import main as door

    watch.watch(exp.config, "refuse_target", "targets read in their source")
    watch.watch(door, "check", "checks of the config")
    watch.watch(Hydra, "compose_config", "composition")
    watch.watch(hydra.core.utils, "configure_log", "hydra: folder, log, its own files")
    watch.watch(hydra.core.utils, "_save_config", "hydra: folder, log, its own files")
    import gc

    gc.disable()  # as the door does, which is opened only now
    import exp.build
    import exp.figures

    import exp.run
    from exp.results.checkpoints import CheckpointSink
    from exp.results.console import ConsoleSink
    from exp.results.metrics_csv import MetricsCsvSink
    from exp.results.summary import SummarySink
    from exp.results.tensorboard import TensorBoardSink
    from exp.training.learner import Learner
    from exp.training.preflight import find_problems

    for name in ("table_of", "prepare", "make"):
        watch.watch(exp.build, name, "data, model, optimizer")
    watch.watch(exp.run, "build", "data, model, optimizer")
    watch.watch(exp.run, "claimed", "checks of the config")
    exp.run.find_problems = watch.timed("preflight", lambda *given: iter(list(find_problems(*given))))
    watch.watch(exp.run, "described", "description of machine and versions")
    watch.watch(Learner, "advance", "training: the steps")
    watch.watch(Learner, "evaluate", "training: evaluations")
    watch.watch(Learner, "get_state", "checkpoints")
    for sink, label in (
        (MetricsCsvSink, "metrics.csv"),
        (TensorBoardSink, "tensorboard's event file"),
        (CheckpointSink, "checkpoints"),
        (ConsoleSink, "terminal"),
        (SummarySink, "summary.json"),
    ):
        watch.watch(sink, "handle", label)
        watch.watch(sink, "close", label)
    for name in ("learning_curves", "confusion_matrix", "predicted_against_true", "decision_surface", "save"):
        watch.watch(exp.figures, name, "figures: drawing")
    gc.enable()
    try:
        watch.timed("the rest", door.main)()
    finally:
        print(json.dumps(watch.seconds))


def main() -> None:
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            command = [sys.executable, str(Path(__file__).resolve()), "--child", f"hydra.run.dir=run{number}"]
            began = time.perf_counter()
            done = subprocess.run([*command, *sys.argv[1:]], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
            seconds = time.perf_counter() - began
            found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            runs.append({**found, "interpreter: start and exit": seconds - sum(found.values()), "total": seconds})
    middle = {label: sorted(run.get(label, 0.0) for run in runs)[ROUNDS // 2] for label in runs[0]}
    total = middle.pop("total")
    for label, seconds in sorted(middle.items(), key=lambda item: -item[1]):
        print(f"{label:38} {1000 * seconds:6.0f} ms {100 * seconds / total:5.1f} %")
    trust = sum(middle.get(label, 0.0) for label in TRUST)
    print(f"{'of it ' + ', '.join(TRUST)}: {1000 * trust:.0f} ms, {100 * trust / total:.1f} %")
    print(f"{'whole process':38} {1000 * total:6.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main()
