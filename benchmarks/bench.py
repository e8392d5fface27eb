"""Every contestant on seven workloads, one process each, in turn: prints the tables that README.md shows.

python benchmarks/bench.py                        all of it, about half an hour
python benchmarks/bench.py cancer --rounds 1      one workload
python benchmarks/bench.py cancer --only exp plain --with optimizer=adam

`exp` runs whole, as typed, with its default logging, validation, checkpoints and pictures; the others train and do
nothing else. Microseconds a step are those of the training loop; what comes before it, compiling included, does not
count for the others. For `exp` they are the seconds in its metrics.csv, from the first evaluation to the last.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORKLOADS = {
    "online": "experiment=signal_background batching=online epochs=18",
    "minibatch": "experiment=signal_background batching=minibatch epochs=180",
    "cancer": "dataset=cancer epochs=570",
    "noisy xor": "experiment=noisy_xor epochs=1050",
    "4-point xor": "experiment=xor_mse epochs=20000",
    "full 1,100": "experiment=signal_background batching=full epochs=2000",
    "regression 40,401": "experiment=distance",
}
HERE = Path(__file__).parent / "contestants"
CONTESTANTS = {
    "exp": None,
    "exp, engine=eager": None,
    "plain": "plain.py",
    "notebook": "notebook.py",
    "skorch": "skorch_quiet.py",
    "Lightning": "lightning_barebones.py",
    "Keras on torch": "keras_fit.py",
    "Keras on JAX": "keras_fit.py",
    "JAX scan": "jax_scan.py",
}
SLOW = {"exp, engine=eager", "skorch", "Lightning", "Keras on torch"}  # many times slower: two rounds tell enough
SLOW_ROUNDS = 2
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def result(name: str, overrides: list[str], task: Path, folder: Path) -> dict[str, float]:
    """Microseconds a step and the loss at the end, seconds of the whole process, MB of memory at its peak."""
    script = CONTESTANTS[name]
    backend = {"KERAS_BACKEND": "jax" if name.endswith("JAX") else "torch"}
    eager = ["engine=eager"] if "eager" in name else []
    whole = ["-m", "exp", *overrides, *eager, "threads=1", "hydra.run.dir=."]
    arguments = [str(HERE / script), str(task)] if script else whole
    began = time.perf_counter()
    with (folder / "printed").open("w+") as printed:
        environment = os.environ | ONE_THREAD | backend
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            sys.exit(f"{name} failed on {overrides}")
        printed.seek(0)
        told: dict[str, float] = json.loads(printed.readlines()[-1]) if script else of_run(folder)
    return {**told, "seconds": seconds, "megabytes": usage.ru_maxrss * 1024 / 1e6}  # Linux counts in KiB


def of_run(folder: Path) -> dict[str, float]:
    """The same of the run that `exp` left in `folder`."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    first, *_, last = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()[1:])
    return {
        "us": (float(last[3]) - float(first[3])) / summary["steps"] * 1e6,
        "loss": summary["final"]["train"]["loss"],
    }


def main() -> None:
    arguments = parsed()
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for workload in arguments.workloads or WORKLOADS:
        overrides = [*WORKLOADS[workload].split(), *arguments.more]
        found = results[workload] = {name: [] for name in arguments.only}
        with tempfile.TemporaryDirectory() as folder:
            task = Path(folder) / "task.npz"
            # By another process, so that this one stays small: a child's peak memory begins with its parent's.
            subprocess.run([sys.executable, str(HERE.with_name("write_task.py")), str(task), *overrides], check=True)
            for number in range(arguments.rounds):
                first = number % len(found)  # not always the same one first
                for name in [*list(found)[first:], *list(found)[:first]]:
                    if name not in SLOW or number < SLOW_ROUNDS:
                        own = Path(folder) / f"{name} {number}"
                        own.mkdir()
                        found[name].append(result(name, overrides, task, own))
                        print(f"{workload}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    for title, measure, digits in (
        ("Microseconds a step", "us", 0),
        ("Seconds of the whole process", "seconds", 1),
        ("MB at the peak", "megabytes", 0),
        ("Loss over the training rows at the end", "loss", 5),
    ):
        print_table(title, results, lambda runs, m=measure, d=digits: f"{median(runs, m):,.{d}f}")
    if "plain" in arguments.only:
        print("\nTimes as fast as the careful plain loop: the median of the rounds' ratios (smallest to largest)\n")
        for workload, found in results.items():
            for name, runs in found.items():
                pairs = zip(found["plain"], runs, strict=False)
                ratios = sorted(plain["us"] / run["us"] for plain, run in pairs)
                told = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                print(f"{workload:18} {name:15} {told}")


def median(runs: list[dict[str, float]], measure: str) -> float:
    return statistics.median(run[measure] for run in runs)


def print_table(title: str, results: dict[str, dict[str, list[dict[str, float]]]], cell: Any) -> None:
    names = list(next(iter(results.values())))
    print(f"\n{title}\n\n| | {' | '.join(results)} |\n|---|{'---|' * len(results)}")
    for name in names:
        print(f"| {name} | {' | '.join(cell(found[name]) for found in results.values())} |")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; all of them if none is named")
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="CONTESTANT")
    parser.add_argument("--rounds", type=int, default=5)
    told = "overrides of the optimizer, for all that train with torch"
    parser.add_argument("--with", dest="more", nargs="+", default=[], metavar="KEY=VALUE", help=told)
    arguments = parser.parse_args()
    if strange := [word for word in arguments.more if not word.startswith("optimizer")]:
        parser.error(f"the others would not hear of {', '.join(strange)}")
    unknown = set(arguments.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no workload is called {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    return arguments


if __name__ == "__main__":
    main()
