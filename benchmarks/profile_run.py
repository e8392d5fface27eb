"""Where the seconds of one run go, from the start of the process to its exit.

python benchmarks/profile_run.py                              the default run
python benchmarks/profile_run.py dataset=xor epochs=10000     another run
"""

import builtins
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 5

# What a run pays for its guarantees: a wrong config is refused before training, and a killed run can be resumed.
GUARANTEES = ("validation of the config", "check of _target_s", "preflight", "checkpoints")

# Module -> the package that it belongs to, or that imports it.
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
    """Seconds by label. Nested time counts for the innermost label only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._labels = ["everything else"]
        self._last = time.perf_counter()

    def _add_elapsed(self) -> None:
        now = time.perf_counter()
        self.seconds[self._labels[-1]] = self.seconds.get(self._labels[-1], 0.0) + now - self._last
        self._last = now

    def wrap(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with the time of its calls added to `label`."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._add_elapsed()
            self._labels.append(label)
            try:
                return function(*args, **kwargs)
            finally:
                self._add_elapsed()
                self._labels.pop()

        return call

    def watch(self, owner: Any, label: str, *names: str) -> None:
        """Replace functions of a module or class by wrapped ones."""
        for name in names:
            setattr(owner, name, self.wrap(label, getattr(owner, name)))


def run_and_measure(arguments: list[str]) -> None:
    """Make one run in this process, and print its seconds by label as JSON in the last line."""
    watch = Stopwatch()
    import_module = builtins.__import__

    def import_and_measure(name: str, *args: Any, **kwargs: Any) -> Any:
        package = PACKAGES.get(name.partition(".")[0])
        if package is None or name in sys.modules:
            return import_module(name, *args, **kwargs)
        return watch.wrap(f"import {package}", import_module)(name, *args, **kwargs)

    builtins.__import__ = import_and_measure
    sys.argv = ["exp", *arguments]
    import gc

    gc.disable()  # as exp does while it imports
    import hydra.core.utils
    from hydra._internal.hydra import Hydra

    import exp.run
    from exp.cli import callback
    from exp.cli import main as command
    from exp.config import validation
    from exp.reports import figures
    from exp.results.checkpoints import CheckpointSink
    from exp.results.console import ConsoleSink
    from exp.results.metrics_csv import MetricsCsvSink
    from exp.results.summary import SummarySink
    from exp.results.tensorboard import TensorBoardSink
    from exp.training.learner import Learner
    from exp.training.preflight import find_problems

    gc.enable()
    watch.watch(validation, "check of _target_s", "refuse_target")
    watch.watch(callback, "validation of the config", "validate_run")
    watch.watch(command, "validation of the config", "validate")
    watch.watch(Hydra, "composition of the config", "compose_config")
    watch.watch(hydra.core.utils, "hydra: folder, log, .hydra", "configure_log", "_save_config")
    watch.watch(exp.run, "data, model, optimizer", "build")
    watch.watch(exp.run, "description of machine and versions", "describe")
    exp.run.find_problems = watch.wrap("preflight", lambda *given: iter(list(find_problems(*given))))
    watch.watch(Learner, "training: steps", "advance")
    watch.watch(Learner, "training: evaluations", "evaluate")
    watch.watch(Learner, "checkpoints", "get_state")
    watch.watch(MetricsCsvSink, "metrics.csv", "handle", "close")
    watch.watch(TensorBoardSink, "event file", "handle", "close")
    watch.watch(CheckpointSink, "checkpoints", "handle", "close")
    watch.watch(ConsoleSink, "terminal", "handle", "close")
    watch.watch(SummarySink, "summary.json", "handle", "close")
    drawings = ("learning_curves", "confusion_matrix", "scores", "predicted_against_true", "decision_surface", "save")
    watch.watch(figures, "figures", *drawings)
    try:
        watch.wrap("everything else", command.main)()
    finally:
        print(json.dumps(watch.seconds))


def main() -> None:
    runs: list[dict[str, float]] = []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-1, ROUNDS):  # -1 is not counted: it fills the disk cache
            command = [sys.executable, str(Path(__file__).resolve()), "--child", f"hydra.run.dir=run{number}"]
            start = time.perf_counter()
            run = subprocess.run(
                [*command, *sys.argv[1:]], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
            )
            total = time.perf_counter() - start
            parts: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
            if number >= 0:
                runs.append({**parts, "interpreter: start and exit": total - sum(parts.values()), "total": total})
    medians = {label: sorted(run.get(label, 0.0) for run in runs)[ROUNDS // 2] for label in runs[0]}
    total = medians.pop("total")
    for label, seconds in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{label:38} {1000 * seconds:6.0f} ms {100 * seconds / total:5.1f} %")
    guarantees = sum(medians.get(label, 0.0) for label in GUARANTEES)
    print(f"of which {', '.join(GUARANTEES)}: {1000 * guarantees:.0f} ms, {100 * guarantees / total:.1f} %")
    print(f"{'whole process':38} {1000 * total:6.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_and_measure(sys.argv[2:])
    else:
        main()
