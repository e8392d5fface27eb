"""Sweeps on a Ray cluster of three nodes on this machine, one of which is killed, and the same sweep in one worker.

python benchmarks/ray_sweep.py               200 jobs and 60 trials, ten sweeps of each
python benchmarks/ray_sweep.py --kills 2     two of each

A node is killed with everything that it started (SIGKILL), once so many jobs have begun. Prints one row per kill;
exit code 1 if a table, or a bit of a job that was run again, differs. At the end: seconds per job, the median of three.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from exp.results.compare_runs import find_differences

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
COMMON = ["device=cpu", "figures=false"]
JOBS = [*COMMON, "dataset=xor", "epochs=50", "model.hidden=4,8,16,32", "optimizer.lr=.02,.05,.1,.2,.5"]
TRIALS = [*COMMON, "dataset=moons", "epochs=8", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=60"]
TRIALS += ["model.hidden=int(interval(2,32))", "optimizer.lr=tag(log,interval(0.001,1))"]


def seeds(count: int) -> list[str]:
    return [*JOBS, f"seed=range(0,{count})"]


def start(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "exp", "-m", *words], stdout=subprocess.DEVNULL)


def run(*words: str) -> float:
    """Run a sweep, and return its seconds."""
    began = time.perf_counter()
    if start(*words).wait():
        sys.exit(f"failed: {' '.join(words)}")
    return time.perf_counter() - began


def read_table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def find_rerun(sweep: Path) -> list[str]:
    """Return the jobs that began more than once."""
    return [path.parent.name for path in sweep.glob("*/exp.log") if path.read_text().count("] data ") > 1]


def find_changes(sweep: Path, other: Path) -> list[str]:
    """Return what differs between two sweeps, except seconds: the tables, and all bits of the jobs run again."""
    changes = [] if read_table(sweep) == read_table(other) else ["sweep.csv"]
    for name in find_rerun(sweep):
        kinds = [kind for kind, _ in find_differences(sweep / name, other / name)]
        changes += [f"{name}: {kind}" for kind in kinds if kind in ("metrics", "parameters")]
    return changes


def processes_of(node: Any) -> list[psutil.Process]:
    """Return the raylet of a node and all that it started."""
    (raylet,) = node.all_processes["raylet"]
    top = psutil.Process(raylet.process.pid)
    return [top, *top.children(recursive=True)]


def kill_node(cluster: Any, number: int) -> bool:
    """Kill a node that runs a worker, in turn, with all its processes. Return False if none does."""
    nodes = sorted(cluster.worker_nodes, key=lambda node: node.node_id)
    busy = [node for node in nodes if any("exp.sweeps.worker" in one.cmdline() for one in processes_of(node))]
    if not busy:
        return False
    node = busy[number % len(busy)]
    for process in processes_of(node):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    cluster.remove_node(node, allow_graceful=False)
    return True


def compare_kills(what: str, line: list[str], jobs: int, serial: Path, kills: int, cluster: Any) -> bool:
    """Print a row per kill. Return whether all sweeps equal that in `serial`."""
    print(f"\n| {what}: a node killed when so many had begun | run again | rows | equal |\n|---|---|---|---|")
    all_equal = True
    for number in range(kills):
        sweep = serial.with_name(f"{serial.name}-killed{number}")
        process = start(*line, f"hydra.sweep.dir='{sweep}'")
        begun = 0
        while begun < int((number + 0.5) / kills * jobs) and process.poll() is None:
            time.sleep(0.05)
            begun = len(list(sweep.glob("*/summary.json")))
        is_killed = kill_node(cluster, number)
        code = process.wait()
        if is_killed:
            cluster.add_node(**NODE)
        changes = find_changes(sweep, serial) if code == 0 else [f"exit code {code}"]
        all_equal &= not changes
        names = [row["job"] for row in read_table(sweep)]
        rows = f"{len(names)}, each once" if len(set(names)) == len(names) == jobs else f"{len(names)}, not each once"
        said = ", ".join(changes[:5]) or "yes"
        print(
            f"| {begun if is_killed else 'no worker there'} | {len(find_rerun(sweep))} | {rows} | {said} |",
            flush=True,
        )
    return all_equal


def print_overhead(ray: list[str], folder: Path) -> None:
    """Print the seconds per job of a sweep of 120 jobs, by its difference to one of 20, and the others."""
    print("\n| one worker | s per job | the rest of the sweep |\n|---|---|---|")
    for what, words in {"local": [], "Ray": [*ray, "sweep.workers=1"]}.items():
        pairs: list[tuple[float, float]] = []
        for number in range(3):
            few, many = (
                run(*seeds(count), *words, f"hydra.sweep.dir='{folder}/{what} {number} {count}'") for count in (1, 6)
            )
            pairs.append(((many - few) / 100, few - (many - few) / 5))
        job, rest = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"| {what} | {job:.3f} | {rest:.1f} s |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    kills = parser.parse_args().kills
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    equal: list[bool] = []
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        ray = ["hydra/launcher=ray", f"hydra.launcher.address={cluster.address}"]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for what, jobs, words, workers in (("jobs", 200, seeds(10), "auto"), ("trials", 60, TRIALS, "1")):
                line = [*words, *ray, f"sweep.workers={workers}"]
                one, on_ray = (
                    run(*words, f"hydra.sweep.dir='{folder / what}'"),
                    run(*line, f"hydra.sweep.dir='{folder}/ray'"),
                )
                print(f"{jobs} {what}: {one:.1f} s in one worker, {on_ray:.1f} s on Ray, sweep.workers={workers}")
                equal.append(not find_changes(folder / "ray", folder / what))
                (folder / "ray").rename(folder / f"{what} on ray")
                equal.append(compare_kills(what, line, jobs, folder / what, kills, cluster))
            print_overhead(ray, folder)
    finally:
        cluster.shutdown()
    sys.exit(not all(equal))


if __name__ == "__main__":
    main()
