"""`exp rm`: remove runs and sweeps."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.config.overrides import shell_line
from exp.errors import ConfigError, format_bytes, pluralize
from exp.results.at_rest import check_at_rest, find_dependents
from exp.results.find_runs import job_folders
from exp.results.lock import folder_lock
from exp.results.run_folder import MULTIRUN, OVERRIDES, is_sweep

# What makes a folder that of a run or sweep is removed last: what an interrupted removal leaves can be removed again.
_LAST = (MULTIRUN, OVERRIDES.partition("/")[0])


@dataclass(frozen=True)
class Removed(Answer):
    """The folders that were removed, none if the answer was no, and what refers to them."""

    folders: Sequence[str]
    dependents: Sequence[str]

    @property
    def exit_code(self) -> int:
        return 0 if self.folders else 1

    def document(self) -> Mapping[str, Any]:
        return {"removed": list(self.folders), "dependents": list(self.dependents)}

    def lines(self) -> Iterator[str]:
        yield f"removed {', '.join(self.folders)}" if self.folders else "nothing is removed"
        yield from (f"note: {text}" for text in self.dependents if self.folders)


def rm(*runs: str, yes: bool = False) -> Removed:
    """Remove runs and sweeps with all their files, after a question.

        python -m exp rm RUN

    It says what refers to them: the sweep of a job, and runs below the current folder that began with their parameters.
    Nothing is removed if one of the folders is not that of a run or sweep, or is running.

    Exit code 1 if the answer is no.

    Args:
        runs: Folders of runs and sweeps.
        yes: Remove them without asking.
    """
    folders = list(dict.fromkeys(Path(run) for run in runs))
    for folder in folders:
        check_at_rest(folder)
    dependents = [text for folder in folders for text in find_dependents(folder, Path())]
    what = [_describe(folder) for folder in folders]
    if not yes and not _is_confirmed([*what, *dependents], list(runs)):
        return Removed([], dependents)
    for folder in folders:
        if folder.exists():  # it may be a job of a sweep that was removed just now
            _remove(folder)
    return Removed([str(folder) for folder in folders], dependents)


def _describe(folder: Path) -> str:
    size = format_bytes(sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()))
    jobs = f"sweep of {pluralize(len(job_folders(folder)), 'job')}" if is_sweep(folder) else "run"
    return f"{folder}: {jobs}, {size}"


def _is_confirmed(lines: Sequence[str], runs: Sequence[str]) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(f"rm would remove {'; '.join(lines)}", shell_line(["rm", *runs, "--yes"]))
    print(*lines, "remove? [y/N] ", sep="\n", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(folder: Path) -> None:
    with folder_lock(folder):
        for path in sorted(folder.iterdir(), key=lambda path: path.name in _LAST):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        folder.rmdir()


if __name__ == "__main__":
    run_command(rm, sys.argv[1:])
