"""`exp verify`: check for one run that a resumed run equals an uninterrupted one."""

import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from exp.cli.answer import TextAnswer
from exp.cli.commands import run_command
from exp.config.overrides import override_key, shell_line
from exp.errors import ConfigError, pluralize
from exp.results import metrics_csv
from exp.results.compare_runs import find_differences
from exp.results.run_folder import OVERRIDES, read_command

# A row of metrics.csv is written up to so many seconds after its step, so a run that is killed sooner has none.
_MIN_SECONDS = 0.2

# Of the run that is suggested. It may take a part of this only, because its first epochs took longer than the others.
_SECONDS_THAT_SUFFICE = 5.0

_POLL_SECONDS = 0.02


def verify_run(run: Path, kills: int, seed: int, folder: Path) -> list[str]:
    """Repeat a run twice in `folder`, uninterrupted and killed, and return what differs between the two.

    Prints each kill.

    Raises:
        ConfigError: No kill happened during training, so nothing was verified.
        CalledProcessError: A run failed by itself.
    """
    if (recorded := _training_seconds(run)) is not None and recorded < _MIN_SECONDS:
        raise _too_short(run, recorded)
    # No figures: they are not compared, and would be drawn after the last kill. A tracker keeps the run itself only.
    kept = (word for word in read_command(run) if override_key(word).partition(".")[0] not in ("figures", "tracker"))
    overrides = list(kept)
    command = [sys.executable, "-m", "exp", *overrides, "figures=false"]
    reference_folder, killed_folder = folder / "uninterrupted", folder / "killed"
    began = time.monotonic()
    subprocess.run([*command, f"hydra.run.dir={reference_folder}"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    rows = list(metrics_csv.read_rows(reference_folder))
    training_seconds = max(row.seconds for row in rows)
    spent = f"{seconds:.1f} s, of which {training_seconds:.1f} s training"
    print(f"uninterrupted: {spent}, {pluralize(len(rows), 'row')}", flush=True)
    rng = random.Random(seed)
    command = [*command, f"hydra.run.dir={killed_folder}"]
    kills_in_training = 0
    for kill in range(1, kills + 1):
        # In parts, so that the last kill hits the training too. The start of a process takes any time, and the first
        # row, which says that it trains, may come late.
        after = rng.random() * max(0.0, training_seconds - _MIN_SECONDS) / kills
        before = _count_rows(killed_folder)
        if not was_killed(command, partial(_has_more_rows, killed_folder, before), after):
            print(f"kill {kill}: the run had already ended")
            break
        count = _count_rows(killed_folder)
        kills_in_training += 0 < count < len(rows)
        print(f"kill {kill}: killed with {pluralize(count, 'row')}", flush=True)
        if (killed_folder / OVERRIDES).exists():
            command = [sys.executable, "-m", "exp", f"resume={killed_folder}"]
    else:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if not kills_in_training:
        if training_seconds < _SECONDS_THAT_SUFFICE:
            raise _too_short(run, training_seconds)
        raise ConfigError("no kill happened during training, so nothing was verified", "another seed=, or more kills=")
    differences = find_differences(reference_folder, killed_folder)
    return [f"{kind}: {what}" for kind, what in differences if kind in ("metrics", "parameters")]


def _training_seconds(run: Path) -> float | None:
    """Return how long the run in `folder` trained; None if it recorded nothing."""
    return max((row.seconds for row in metrics_csv.read_rows(run)), default=None)


def _too_short(run: Path, seconds: float) -> ConfigError:
    """Return the error for a run that no kill can hit, with the command of a run that is long enough."""
    rows = list(metrics_csv.read_rows(run))
    epochs = max((row.epoch for row in rows), default=1.0)
    # The first rows have the start of the training in their seconds.
    of_one = (seconds - rows[0].seconds) / (epochs - rows[0].epoch) if rows and epochs > rows[0].epoch else 0
    longer = math.ceil(_SECONDS_THAT_SUFFICE / max(of_one or seconds / epochs, 1e-6))
    overrides = [word for word in read_command(run) if override_key(word) != "epochs"]
    return ConfigError(
        f"{run} trains for {seconds:.2g} s, too short to be killed during training",
        f"a longer run, which you can verify: {shell_line([*overrides, f'epochs={longer}'])}",
    )


def _count_rows(run: Path) -> int:
    return len(list(metrics_csv.read_rows(run))) if run.exists() else 0


def _has_more_rows(run: Path, before: int) -> bool:
    return _count_rows(run) > before


def was_killed(command: Sequence[str], has_begun: Callable[[], bool], after: float) -> bool:
    """Run `command` and kill it that many seconds after it has begun to train; return False if it ended earlier.

    Raises:
        CalledProcessError: It ended earlier with an exit code other than 0.
    """
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and not has_begun():
                time.sleep(_POLL_SECONDS)
            process.wait(after)
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return False


def verify(resume: str, kills: int = 3, seed: int = 0) -> TextAnswer:
    """Run a command again, killed and resumed, and compare the bits.

        python -m exp verify resume=FOLDER

    It runs twice, in temporary folders: once uninterrupted, and once killed (SIGKILL) at random moments and resumed.
    Exit code 0 if every metric and every parameter is the same to the bit, 1 if not.

    Args:
        resume: Folder of the run.
        kills: How often it is killed.
        seed: Random seed of the times at which it is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = verify_run(Path(resume), kills, seed, Path(folder))
        except subprocess.CalledProcessError as error:
            raise ConfigError(
                f"the run does not finish, so nothing was verified: exit code {error.returncode}",
                "a run that finishes",
            ) from error
    fields = {"run": resume, "identical": not found, "differences": found}
    if found:
        return TextAnswer(fields, ["the resumed run differs:", *found], 1)
    return TextAnswer(fields, ["identical to the bit: every metric and every parameter"])


if __name__ == "__main__":
    run_command(verify, sys.argv[1:])
