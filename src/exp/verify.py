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

from exp.diff import differences
from exp.errors import ConfigError, ExpError
from exp.resuming import command_of


def verified(run: Path, kills: int, seed: int, folder: Path) -> list[str]:
    """What differs between the undisturbed run and the killed one, both in `folder`; prints what happens."""
    line = [sys.executable, "-m", "exp", *command_of(run)]
    whole, torn = folder / "undisturbed", folder / "killed"
    began = time.monotonic()
    subprocess.run([*line, f"hydra.run.dir={whole}"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    print(f"undisturbed: {seconds:.1f} s", flush=True)
    moments = random.Random(seed)
    command = [*line, f"hydra.run.dir={torn}"]
    for kill in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0, seconds))
            print(f"kill {kill + 1}: it had ended before")
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        steps = (torn / "metrics.csv").read_text().count("\n") if (torn / "metrics.csv").exists() else 0
        print(f"kill {kill + 1}: killed with {steps} rows in metrics.csv", flush=True)
        if (torn / ".hydra" / "overrides.yaml").exists():
            command = [sys.executable, "-m", "exp", f"resume={torn}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [f"{kind}: {what}" for kind, what in differences(whole, torn) if kind in ("measures", "parameters")]


def main() -> None:
    words = {word.partition("=")[0]: word.partition("=")[2] for word in sys.argv[1:]}
    try:
        if "resume" not in words:
            raise ConfigError("it takes the folder of a run", "python -m exp.verify resume=RUN")
        with tempfile.TemporaryDirectory() as folder:
            found = verified(
                Path(words["resume"]), int(words.get("kills", "3")), int(words.get("seed", "0")), Path(folder)
            )
    except ExpError as error:
        sys.exit(f"exp.verify: {error}")
    if found:
        sys.exit("\n".join(["exp.verify: the resumed run is another:", *found]))
    print("the same, to the bit: every measure and every parameter")


if __name__ == "__main__":
    main()
