"""A sweep killed (SIGKILL) at ten random moments and gone on with each time, against one that nothing disturbed.

python benchmarks/kill_a_sweep.py

Twelve jobs in two workers. Prints a row for each kill; exit code 1 if a table, a metric or a parameter differs.
"""

import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exp.diff import find_differences

KILLS = 10
LINE = "-m dataset=moons batching=full,minibatch seed=range(0,3) model.dropout=0,0.2 epochs=1500 figures=false"
WORDS = [*LINE.split(), "sweep.workers=2", "log_every=50", "eval_every=50", "save_every=100"]
COMMAND = [sys.executable, "-m", "exp", *WORDS]


def table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def main() -> None:
    moments = random.Random(0)
    different = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        subprocess.run([*COMMAND, "hydra.sweep.dir=whole"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        print(f"undisturbed: {seconds:.1f} s\n\n| kill after | jobs that had ended | the same |\n|---|---|---|")
        for number in range(KILLS):
            torn = folder / f"torn{number}"
            moment = 2.0 + moments.random() * (seconds - 2.5)
            process = subprocess.Popen([*COMMAND, f"hydra.sweep.dir={torn}"], cwd=folder, stdout=subprocess.DEVNULL)
            time.sleep(moment)
            process.kill()
            process.wait()
            ended = sum('"finished"' in path.read_text() for path in torn.glob("*/summary.json"))
            subprocess.run([*COMMAND, f"sweep.resume={torn}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            found = [] if table(torn) == table(folder / "whole") else ["sweep.csv"]
            for job in sorted((folder / "whole").glob("[0-9]*")):
                kinds = [kind for kind, _ in find_differences(job, torn / job.name)]
                found += [f"{job.name}: {kind}" for kind in kinds if kind in ("metrics", "parameters")]
            different += bool(found)
            print(f"| {moment:.1f} s | {ended} of 12 | {', '.join(found) or 'yes'} |", flush=True)
    print(f"\n{KILLS - different} of {KILLS} the same")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
