"""Runs and sweeps that may be moved, removed or tagged: no process writes them. Imports no torch."""

from collections.abc import Iterator
from pathlib import Path

from exp.config.overrides import shell_line
from exp.errors import ConfigError, display_path
from exp.results import search_json, summary, sweep_json
from exp.results.find_runs import find_runs, job_folders
from exp.results.flat_config import read_flat_config
from exp.results.heartbeat import is_alive
from exp.results.run_folder import SWEEP_MANIFEST, is_run, is_sweep


def check_at_rest(folder: Path) -> None:
    """Raise ConfigError unless `folder` is that of a run or sweep which no process runs."""
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link", f"the folder that it leads to: {folder.resolve()}")
    if not is_run(folder) and not is_sweep(folder):
        if not folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder", shell_line(["ls"]))
        inside = f"{sum(1 for _ in find_runs(folder)):,}"
        raise ConfigError(
            f"{folder} is neither a run nor a sweep ({inside} of them below it)", shell_line(["ls", str(folder)])
        )
    running = [one for one in (folder, *job_folders(folder)) if _is_running(one)]
    if running:
        wait = f"wait for its end: {shell_line(['status', str(folder)])}"
        raise ConfigError(f"{running[0]} is running", wait)


def find_dependents(folder: Path, among: Path) -> Iterator[str]:
    """Yield what refers to the run or sweep in `folder`: its sweep, and runs and searches below `among`."""
    if is_sweep(folder.parent):
        yield f"{folder} is a job of the sweep {folder.parent}"
    place = folder.resolve()
    for other in find_runs(among):
        if other.resolve() == place:
            continue
        for run in job_folders(other) if is_sweep(other) else [other]:
            init = read_flat_config(run).get("init")
            source = None if init is None else Path(str(init).removesuffix(":best").removesuffix(":last")).resolve()
            if source is not None and source.is_relative_to(place):
                yield f"{display_path(run)} began with its parameters (init={init})"
        record = search_json.read(other)
        if record is not None and record.best_folder and Path(record.best_folder).resolve() == place:
            yield f"{display_path(other)} is of the same study, whose best trial is in {folder}"


def _is_running(folder: Path) -> bool:
    if is_sweep(folder) and is_alive(sweep_json.read(folder).get("process"), folder / SWEEP_MANIFEST):
        return True
    return summary.read(folder).get("status") == "running"
