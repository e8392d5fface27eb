"""Compare exp with other ways to train on eight workloads, each in a process of its own, in turn.

python benchmarks/bench.py                        everything, about half an hour
python benchmarks/bench.py cancer --rounds 1      one workload
python benchmarks/bench.py cancer --only exp plain --with optimizer=adam

`exp` runs as a user runs it, with its default logging, validation, checkpoints and figures; the others only train.
All of them share one core, where the system lets a process choose its cores: a number of threads alone does not bind
every one, JAX among them. Microseconds per step are those of the training loop. For the others, set-up and compilation
are not included. For `exp` they are the seconds in metrics.csv from the first evaluation to the last.
"""

import argparse
import json
import math
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
    "middle": "dataset=moons ~dataset.noise dataset._target_=sklearn.datasets.make_classification "
    "dataset.n_samples=12000 dataset.random_state=0 +dataset.n_features=30 model.hidden=[256,256,256] "
    "batching.batch_size=256 optimizer=adamw epochs=40",
}
HERE = Path(__file__).parent / "contestants"
CONTESTANTS = {
    "exp": None,
    "exp, engine=compiled": None,
    "exp, engine=eager": None,
    "plain": "plain.py",
    "notebook": "notebook.py",
    "skorch": "skorch_quiet.py",
    "Lightning": "lightning_barebones.py",
    "Keras on torch": "keras_fit.py",
    "Keras on JAX": "keras_fit.py",
    "JAX scan": "jax_scan.py",
}
SLOW = {"exp, engine=eager", "skorch", "Lightning", "Keras on torch"}  # many times slower
SLOW_ROUNDS = 2
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def measure(name: str, overrides: list[str], task: Path, folder: Path) -> dict[str, float]:
    """Run one contestant in `folder`; return us per step, final loss, seconds of the process and its peak in MB.

    They are NaN if it fails.
    """
    script = CONTESTANTS[name]
    backend = {"KERAS_BACKEND": "jax" if name.endswith("JAX") else "torch"}
    engine = [name.partition(", ")[2]] if "engine" in name else []
    exp = ["-m", "exp", *overrides, *engine, "threads=1", "hydra.run.dir=."]
    arguments = [str(HERE / script), str(task)] if script else exp
    start = time.perf_counter()
    with (folder / "output").open("w+") as output:
        environment = os.environ | ONE_THREAD | backend
        process = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            print(f"{name} failed on {overrides}", file=sys.stderr)
            return dict.fromkeys(("us", "loss", "seconds", "megabytes"), math.nan)
        output.seek(0)
        training: dict[str, float] = json.loads(output.readlines()[-1]) if script else read_run(folder)
    return {**training, "seconds": seconds, "megabytes": usage.ru_maxrss * 1024 / 1e6}  # Linux counts in KiB


def read_run(folder: Path) -> dict[str, float]:
    """Return us per step and final loss of the run of `exp` in `folder`."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    first, *_, last = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()[1:])
    return {
        "us": (float(last[3]) - float(first[3])) / summary["steps"] * 1e6,
        "loss": summary["final"]["train"]["loss"],
    }


def main() -> None:
    arguments = parse_arguments()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the contestants inherit it
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for workload in arguments.workloads or WORKLOADS:
        overrides = [*WORKLOADS[workload].split(), *arguments.more]
        runs = results[workload] = {name: [] for name in arguments.only}
        with tempfile.TemporaryDirectory() as folder:
            task = Path(folder) / "task.npz"
            # In a process of its own, to keep this one small: the peak memory of a child is at least its parent's.
            subprocess.run([sys.executable, str(HERE.with_name("write_task.py")), str(task), *overrides], check=True)
            for number in range(arguments.rounds):
                first = number % len(runs)  # rotate the order
                for name in [*list(runs)[first:], *list(runs)[:first]]:
                    if name not in SLOW or number < SLOW_ROUNDS:
                        own = Path(folder) / f"{name} {number}"
                        own.mkdir()
                        runs[name].append(measure(name, overrides, task, own))
                        print(f"{workload}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    for title, key, digits in (
        ("Microseconds per step", "us", 0),
        ("Seconds of the whole process", "seconds", 1),
        ("Peak memory in MB", "megabytes", 0),
        ("Final loss of the training rows", "loss", 5),
    ):
        print_table(title, results, lambda runs, k=key, d=digits: f"{median(runs, k):,.{d}f}")
    if "plain" in arguments.only:
        print("\nSpeed relative to the plain loop: median of the ratios per round (minimum to maximum)\n")
        for workload, by_name in results.items():
            for name, runs in by_name.items():
                pairs = zip(by_name["plain"], runs, strict=False)
                ratios = sorted(plain["us"] / run["us"] for plain, run in pairs)
                ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                print(f"{workload:18} {name:15} {ratio}")


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def print_table(title: str, results: dict[str, dict[str, list[dict[str, float]]]], cell: Any) -> None:
    names = list(next(iter(results.values())))
    print(f"\n{title}\n\n| | {' | '.join(results)} |\n|---|{'---|' * len(results)}")
    for name in names:
        print(f"| {name} | {' | '.join(cell(runs[name]) for runs in results.values())} |")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"{', '.join(WORKLOADS)}; default: all")
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="CONTESTANT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--with", dest="more", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of the optimizer"
    )
    arguments = parser.parse_args()
    if unsupported := [override for override in arguments.more if not override.startswith("optimizer")]:
        parser.error(f"--with takes overrides of the optimizer only, got {', '.join(unsupported)}")
    unknown = set(arguments.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown workload {', '.join(sorted(unknown))} (available: {', '.join(WORKLOADS)})")
    return arguments


if __name__ == "__main__":
    main()
