"""Seconds of a run with two threads while other processes keep every core busy, by how OpenMP's threads wait.

`python benchmarks/busy_machine.py` trains `experiment=realmlp_s dataset=digits` on a quiet and on a busy machine, with
OMP_WAIT_POLICY=passive, which exp sets, and active, which is the default of OpenMP. The four take turns.
"""

import os
import re
import subprocess
import sys
import tempfile
from statistics import median

LINE = "dataset=digits experiment=realmlp_s epochs=60 threads=2 figures=false"
ROUNDS = 3


def train(policy: str) -> float:
    """Return the seconds that the run took, as it prints them."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "exp", *LINE.split(), f"hydra.run.dir={folder}/run"]
        environment = {**os.environ, "OMP_WAIT_POLICY": policy}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"evaluations included, in ([0-9.]+) s", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def main() -> None:
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for load in ("quiet", "busy"):
            count = os.cpu_count() or 1 if load == "busy" else 0
            busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
            try:
                for policy in ("passive", "active"):
                    seconds.setdefault((load, policy), []).append(train(policy))
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
    for (load, policy), values in seconds.items():
        print(f"{load:5} {policy:7} {median(values):6.2f} s  ({', '.join(f'{value:.2f}' for value in values)})")


if __name__ == "__main__":
    main()
