"""What eight metrics cost: a training step, an evaluation and a whole process with and without them, in turn.

python benchmarks/metrics_cost.py                    about three minutes
python benchmarks/metrics_cost.py --against SRC      also the default run, against src/ of another checkout

Processes are compared by their processor time. Each ratio is the median of the ratios of the rounds, with the middle
half of them in brackets.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir

from exp.config.schema import CONF
from exp.config.validation import validate
from exp.training.build import Experiment, build

EIGHT = {
    "dataset=cancer": "balanced_accuracy,f1,auc,average_precision,log_loss,brier,ece,mcc",
    "dataset=digits": "balanced_accuracy,f1,auc,average_precision,log_loss,brier,ece,mcc",
    "dataset=diabetes": "mae,mape,median_absolute_error,spearman,rmse,r2,loss",
}
STEPS = 256  # of a turn
TURNS = 60
ROUNDS = 15  # of whole processes


def build_pair(dataset: str) -> tuple[Experiment, Experiment]:
    """Return the experiment without and with the metrics."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        metrics = ("[]", f"[{EIGHT[dataset]}]")
        first, second = (
            build(validate(compose("config", [dataset, "epochs=1000", "engine=replay", f"metrics={names}"])))
            for names in metrics
        )
    return first, second


def make_step(experiment: Experiment) -> Callable[[], None]:
    """Return a function that trains for STEPS steps."""
    stream, rows = experiment.batches.stream(), experiment.batches.rows
    return lambda: void(experiment.learner.advance(stream.take(STEPS), [STEPS], rows))


def make_evaluation(experiment: Experiment) -> Callable[[], None]:
    return lambda: void(experiment.learner.evaluate(experiment.data.val).values())


def void(result: object) -> None:
    del result


def children_cpu_seconds() -> float:
    """Return the processor time of all processes that have ended: what else the machine does hardly changes it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def take_turns(
    pair: Sequence[Callable[[], None]], turns: int, clock: Callable[[], float] = time.perf_counter
) -> list[tuple[float, float]]:
    """Return the seconds of both functions in each turn; the first one changes from turn to turn."""
    for each in pair:  # not counted
        each()
    results: list[tuple[float, float]] = []
    for turn in range(turns):
        seconds = [0.0, 0.0]
        for number in (0, 1) if turn % 2 else (1, 0):
            start = clock()
            pair[number]()
            seconds[number] = clock() - start
        results.append((seconds[0], seconds[1]))
    return results


def make_process(words: str, folder: str, source: str = "") -> Callable[[], None]:
    """Return a function that runs `python -m exp` with `words` in a new process, with exp from the folder `source`."""
    environment = os.environ | ({"PYTHONPATH": source} if source else {})
    command = [sys.executable, "-m", "exp", *words.split()]
    return lambda: void(subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL))


def print_row(name: str, pairs: list[tuple[float, float]], unit: str, scale: float) -> None:
    low, middle, high = statistics.quantiles((second / first for first, second in pairs), n=4)
    columns = "".join(f"{statistics.median(column) * scale:10.4g} {unit}" for column in zip(*pairs, strict=True))
    print(f"{name:34}{columns}   x {middle:.3f} ({low:.3f} to {high:.3f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="SRC", help="the src folder of another checkout")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(f"{'':34}{'without':>13}{'with eight':>13}")
    for dataset in EIGHT:
        pair = build_pair(dataset)
        print_row(f"{dataset}, step", take_turns([make_step(one) for one in pair], TURNS), "us", 1e6 / STEPS)
        evaluations = [make_evaluation(one) for one in pair]
        print_row(f"{dataset}, evaluation", take_turns(evaluations, 10 * TURNS), "us", 1e6)
    with tempfile.TemporaryDirectory() as folder:
        for dataset, metrics in EIGHT.items():
            runs = [make_process(f"{dataset} figures=false metrics=[{names}]", folder) for names in ("", metrics)]
            print_row(f"{dataset}, process", take_turns(runs, arguments.rounds, children_cpu_seconds), "s ", 1)
        if arguments.against:
            print(f"{'':34}{'other':>13}{'this':>13}")
            here = str(Path(__file__).parents[1] / "src")
            for words in ("", "figures=false"):
                runs = [make_process(words, folder, source) for source in (arguments.against, here)]
                print_row(f"exp {words}, process", take_turns(runs, arguments.rounds, children_cpu_seconds), "s ", 1)


if __name__ == "__main__":
    main()
