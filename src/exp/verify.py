"""`exp verify`: the proof, for one run, that a resumed run equals an uninterrupted one."""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from exp.cli.commands import run_command
from exp.diff import find_differences
from exp.errors import ConfigError
from exp.results import metrics_csv
from exp.results.run_folder import read_command


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
    print(f"uninterrupted: {seconds:.1f} s, {training:.1f} s of them training, {len(told)} rows", flush=True)
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
        raise ConfigError("no kill happened during training, so nothing was verified", "another seed=, or more kills=")
    return [f"{kind}: {what}" for kind, what in find_differences(whole, torn) if kind in ("metrics", "parameters")]


def verify(resume: str, kills: int = 3, seed: int = 0) -> None:
    """Run a command again, killed and resumed, and compare the bits with an uninterrupted run.

        python -m exp verify resume=FOLDER

    The second one is killed (SIGKILL) at random moments and resumed each time. Both have temporary folders.
    Exit code 0 if every metric and every parameter is the same to the bit, 1 if not.

    Args:
        resume: Folder of the run.
        kills: How often it is killed.
        seed: Random seed of the moments.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = verify_run(Path(resume), kills, seed, Path(folder))
        except subprocess.CalledProcessError as error:
            raise ConfigError(
                f"the run does not finish, so nothing was verified: exit code {error.returncode}",
                "a run that finishes",
            ) from error
    if found:
        sys.exit("\n".join(["exp verify: the resumed run differs:", *found]))
    print("identical to the bit: every metric and every parameter")


if __name__ == "__main__":
    run_command(verify, sys.argv[1:])
