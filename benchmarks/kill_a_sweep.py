"""Kill a sweep (SIGKILL) at ten random moments, resume it, and compare it with an uninterrupted sweep.

python benchmarks/kill_a_sweep.py

Twelve jobs in two workers. Prints one row per kill; exit code 1 if a table, a metric or a parameter differs.
"""

import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exp.results.compare_runs import find_differences

KILLS = 10
LINE = "-m dataset=moons batching=full,minibatch seed=range(0,3) model.dropout=0,0.2 epochs=1500 figures=false"
OVERRIDES = [*LINE.split(), "sweep.workers=2", "log_every=50", "eval_every=50", "save_every=100"]
COMMAND = [sys.executable, "-m", "exp", *OVERRIDES]


def read_table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def main() -> None:
    random_delays = random.Random(0)
    different = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        subprocess.run([*COMMAND, "hydra.sweep.dir=uninterrupted"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        print(f"uninterrupted: {seconds:.1f} s\n\n| kill after | finished jobs | equal |\n|---|---|---|")
        for number in range(KILLS):
            killed = folder / f"killed{number}"
            delay = 2.0 + random_delays.random() * (seconds - 2.5)
            process = subprocess.Popen([*COMMAND, f"hydra.sweep.dir={killed}"], cwd=folder, stdout=subprocess.DEVNULL)
            time.sleep(delay)
            process.kill()
            process.wait()
            ended = sum('"finished"' in path.read_text() for path in killed.glob("*/summary.json"))
            subprocess.run([*COMMAND, f"sweep.resume={killed}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            differences = [] if read_table(killed) == read_table(folder / "uninterrupted") else ["sweep.csv"]
            for job in sorted((folder / "uninterrupted").glob("[0-9]*")):
                kinds = [kind for kind, _ in find_differences(job, killed / job.name)]
                differences += [f"{job.name}: {kind}" for kind in kinds if kind in ("metrics", "parameters")]
            different += bool(differences)
            print(f"| {delay:.1f} s | {ended} of 12 | {', '.join(differences) or 'yes'} |", flush=True)
    print(f"\n{KILLS - different} of {KILLS} equal")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
