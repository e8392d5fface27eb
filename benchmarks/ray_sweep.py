"""Sweeps on a Ray cluster of three nodes on this machine, one of which is killed, beside the same sweep in one worker.

python benchmarks/ray_sweep.py               200 jobs and 60 trials, ten sweeps of each
python benchmarks/ray_sweep.py --kills 2     two of each

A node is killed with everything that it started (SIGKILL), at moments spread over the sweep. Prints one row per kill;
exit code 1 if a table, a metric or a parameter differs. At the end: seconds per job, the median of three differences.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from exp.diff import find_differences

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
COMMON = ["device=cpu", "figures=false"]
JOBS = [*COMMON, "dataset=xor", "epochs=200", "model.hidden=4,8,16,32", "optimizer.lr=.02,.05,.1,.2,.5"]
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


def find_changes(sweep: Path, other: Path) -> list[str]:
    """Return what differs between two sweeps, except seconds."""
    table = read_table(other)
    changes = [] if read_table(sweep) == table else ["sweep.csv"]
    for name in [row["job"] for row in table if row["status"] == "finished"]:
        kinds = [kind for kind, _ in find_differences(sweep / name, other / name)]
        changes += [f"{name}: {kind}" for kind in kinds if kind in ("metrics", "parameters")]
    return changes


def processes_of(node: Any) -> list[psutil.Process]:
    """Return the raylet of a node and all that it started."""
    (raylet,) = node.all_processes["raylet"]
    top = psutil.Process(raylet.process.pid)
    return [top, *top.children(recursive=True)]


def kill_node(cluster: Any, number: int) -> str:
    """Kill a node that runs a worker with all its processes, in turn. Return which one it was."""
    nodes = sorted(cluster.worker_nodes, key=lambda node: node.node_id)
    with_worker = [
        node for node in nodes if any("exp.sweeps.worker" in process.cmdline() for process in processes_of(node))
    ]
    chosen = (with_worker or nodes)[number % len(with_worker or nodes)]
    for process in processes_of(chosen):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return "yes" if with_worker else "no"


def compare_kills(
    what: str, lines: Callable[[Path], list[str]], serial: Path, seconds: float, kills: int, cluster: Any
) -> bool:
    """Print a row per kill. Return whether all sweeps equal that in `serial`."""
    print(f"\n| {what}: node killed after | it ran a worker | jobs resumed | rows | equal |\n|---|---|---|---|---|")
    all_equal = True
    for number in range(kills):
        sweep = serial.with_name(f"{serial.name}-killed{number}")
        process = start(*lines(sweep))
        delay = 2.0 + (number + 0.5) / kills * (seconds - 2.5)
        time.sleep(delay)
        nodes = {node.node_id: node for node in cluster.worker_nodes}
        has_worker = kill_node(cluster, number)
        code = process.wait()
        for node in nodes.values():
            if node.all_processes["raylet"][0].process.poll() is not None:
                cluster.remove_node(node, allow_graceful=False)
                cluster.add_node(**NODE)
        changes = find_changes(sweep, serial) if code == 0 else [f"exit code {code}"]
        all_equal &= not changes
        resumed = sum("resumed   after" in path.read_text() for path in sweep.glob("*/exp.log"))
        names = [row["job"] for row in read_table(sweep)]
        rows = f"{len(names)}, each once" if len(set(names)) == len(names) else f"{len(names)}, not each once"
        said = ", ".join(changes[:5]) or "yes"
        print(f"| {delay:.1f} s | {has_worker} | {resumed} | {rows} | {said} |", flush=True)
    return all_equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    kills = parser.parse_args().kills
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        for _ in range(2):
            cluster.add_node(**NODE)
        ray = ["hydra/launcher=ray", f"hydra.launcher.address={cluster.address}"]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            equal = []
            for what, words, workers in (("200 jobs", seeds(10), "auto"), ("60 trials", TRIALS, "1")):
                serial, plain = folder / what, folder / f"{what} on ray"
                one = run(*words, f"hydra.sweep.dir='{serial}'")
                on_ray = [*words, *ray, f"sweep.workers={workers}"]
                seconds = run(*on_ray, f"hydra.sweep.dir='{plain}'")
                print(f"{what}: {one:.1f} s in one worker, {seconds:.1f} s on Ray, workers={workers}", flush=True)
                equal.append(not find_changes(plain, serial))
                equal.append(
                    compare_kills(
                        what,
                        lambda sweep, line=on_ray: [*line, f"hydra.sweep.dir='{sweep}'"],
                        serial,
                        seconds,
                        kills,
                        cluster,
                    )
                )
            print("\n| one worker | s per job | the rest of the sweep |\n|---|---|---|")
            for what, words in {"local": [], "Ray": [*ray, "sweep.workers=1"]}.items():
                pairs = []
                for number in range(3):
                    few, many = (
                        run(*seeds(count), *words, f"hydra.sweep.dir='{folder}/{what} {number} {count}'")
                        for count in (1, 6)
                    )
                    pairs.append(((many - few) / 100, few - (many - few) / 5))
                job, rest = (statistics.median(column) for column in zip(*pairs, strict=True))
                print(f"| {what} | {job:.3f} | {rest:.1f} s |", flush=True)
    finally:
        cluster.shutdown()
    sys.exit(not all(equal))


if __name__ == "__main__":
    main()
