"""The proof, for one run, that resuming loses nothing: `python -m exp.verify resume=RUN [kills=3] [seed=0]`.

Runs the same command again from its beginning, once undisturbed and once killed (SIGKILL) at random moments and resumed
each time, in a folder of their own, and compares the two. Exit code 0 where they are the same to the bit, 1 where not.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exp.cli.key_value import run_command
from exp.diff import find_differences
from exp.errors import ConfigError
from exp.results import metrics_csv
from exp.results.run_folder import read_command

_KNOWN = {"resume": True, "kills": False, "seed": False}


def verify_run(run: Path, kills: int, seed: int, folder: Path) -> list[str]:
    """What differs between the undisturbed run and the killed one, both in `folder`; prints what happens.

    ConfigError if no kill fell into training: then nothing was proved.
    """
    # Pictures are no part of what is proved, and would come after the moments at which it is killed.
    line = [sys.executable, "-m", "exp", *read_command(run), "figures=false"]
    whole, torn = folder / "undisturbed", folder / "killed"
    began = time.monotonic()
    subprocess.run([*line, f"hydra.run.dir={whole}"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    told = list(metrics_csv.read_rows(whole))
    training = max(row.seconds for row in told)
    print(f"undisturbed: {seconds:.1f} s, {training:.1f} s of them training, {len(told)} rows", flush=True)
    moments = random.Random(seed)
    typed = [*line, f"hydra.run.dir={torn}"]
    interrupted = 0
    for kill in range(kills):
        process = subprocess.Popen(typed, stdout=subprocess.DEVNULL)
        try:
            process.wait(seconds - moments.random() * training)
            print(f"kill {kill + 1}: it had ended before")
            typed = []
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        rows = len(list(metrics_csv.read_rows(torn))) if (torn / metrics_csv.NAME).exists() else 0
        interrupted += 0 < rows < len(told)
        print(f"kill {kill + 1}: killed with {rows} rows", flush=True)
        if (torn / ".hydra" / "overrides.yaml").exists():
            typed = [sys.executable, "-m", "exp", f"resume={torn}"]
    if typed:
        subprocess.run(typed, check=True, stdout=subprocess.DEVNULL)
    if not interrupted:
        raise ConfigError("no kill fell into training, so nothing was proved", "another seed=, or more kills=")
    return [f"{kind}: {what}" for kind, what in find_differences(whole, torn) if kind in ("metrics", "parameters")]


def verify(resume: str, kills: str = "3", seed: str = "0") -> None:
    """Say whether the two are the same, and exit with 1 if not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = verify_run(Path(resume), _number("kills", kills), _number("seed", seed), Path(folder))
        except subprocess.CalledProcessError as error:
            raise ConfigError(
                f"the run does not come to its end, so nothing was proved: exit code {error.returncode}",
                "a run that finishes",
            ) from error
    if found:
        sys.exit("\n".join(["exp.verify: the resumed run is another:", *found]))
    print("the same, to the bit: every metric and every parameter")


def _number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise ConfigError(f"{name} must be a whole number, not {value}", f"{name}=3")
    return int(value)


if __name__ == "__main__":
    run_command("verify", __doc__, _KNOWN, "python -m exp.verify resume=RUN kills=3", verify)
