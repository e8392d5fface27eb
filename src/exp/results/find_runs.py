"""The runs and sweeps below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from exp.errors import ConfigError
from exp.results.run_folder import OVERRIDES, is_run, is_sweep

# A folder with this file is a Python environment, with thousands of folders and no run.
_ENVIRONMENT = "pyvenv.cfg"


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield `folder` or the folders below it that are runs or sweeps, by name. What is inside of these is not searched.

    Hidden folders, links and Python environments are left out.

    Raises:
        ConfigError: There is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: there is no such folder", "a folder with runs or sweeps below it, such as outputs"
        )
    yield from _search(folder)


def job_folders(sweep: Path) -> list[Path]:
    """Return the folders of those jobs of a sweep that have begun, in their order."""
    return sorted((path.parents[1] for path in sweep.glob(f"*/{OVERRIDES}")), key=_by_number)


def _by_number(job: Path) -> tuple[int, str]:
    return (int(job.name) if job.name.isdigit() else 0, job.name)


def _search(folder: Path) -> Iterator[Path]:
    if is_run(folder) or is_sweep(folder):
        yield folder
        return
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except PermissionError:
        return
    if (folder / _ENVIRONMENT).exists():
        return
    for name in sorted(found):
        if not name.startswith("."):
            yield from _search(folder / name)
