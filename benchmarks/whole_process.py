"""Compare the whole process of `python -m exp`, from start to exit, with the plain script: five rounds, in turn.

python benchmarks/whole_process.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "plain script": [str(Path(__file__).with_name("plain_cancer.py"))],
    "python -m exp": ["-m", "exp"],
    "python -m exp figures=false": ["-m", "exp", "figures=false"],
}
ROUNDS = 5


def measure(arguments: list[str], folder: str) -> tuple[float, float]:
    """Return the seconds of a process from start to exit, and its seconds of processor time.

    Python keeps the compiled modules, as by default: without that, each run would compile the modules of exp anew.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for arguments in COMMANDS.values():  # not counted: fills the disk cache
            measure(arguments, folder)
        rounds = [{name: measure(arguments, folder) for name, arguments in COMMANDS.items()} for _ in range(ROUNDS)]
    plain = next(iter(COMMANDS))
    for name in COMMANDS:
        columns: list[str] = []
        for number, what in enumerate(("", " of processor")):
            times = [times[name][number] for times in rounds]
            ratio = statistics.median(times[name][number] / times[plain][number] for times in rounds)
            ends = f"({min(times):.2f} to {max(times):.2f})"
            columns.append(f"{statistics.median(times):5.2f} s{what} {ends}, {ratio:.2f} x plain")
        print(f"{name:28} {'   '.join(columns)}")


if __name__ == "__main__":
    main()
