"""Compare the whole process of `python -m exp`, from start to exit, with the plain script: five rounds, in turn.

python benchmarks/whole_process.py
"""

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


def measure(arguments: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for arguments in COMMANDS.values():  # not counted: fills the disk cache
            measure(arguments, folder)
        rounds = [{name: measure(arguments, folder) for name, arguments in COMMANDS.items()} for _ in range(ROUNDS)]
    plain = next(iter(COMMANDS))
    for name in COMMANDS:
        times = [times[name] for times in rounds]
        ratio = statistics.median(times[name] / times[plain] for times in rounds)
        print(
            f"{name:28} {statistics.median(times):5.2f} s ({min(times):.2f} to {max(times):.2f}), {ratio:.2f} x plain"
        )


if __name__ == "__main__":
    main()
