"""sweep.json: the folder of each job, by the content of the job's config. A resumed sweep finds its jobs in it."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from exp.config.former_names import describe_changes
from exp.config.schema import flatten, has_effect
from exp.data.held import MissingRowsError
from exp.data.input_files import DATA_PATHS
from exp.errors import ConfigError, DataError, display_path
from exp.results import summary, sweep_json
from exp.results.heartbeat import describe_process, refuse_other_process
from exp.results.resume_line import resume_sweep_command
from exp.results.run_folder import (
    COMPARISON,
    FIGURES,
    FOLD_BANDS,
    FOLDS_TABLE,
    MULTIRUN,
    PREDICTIONS,
    REPORT,
    SEARCH_RECORD,
    SEED_BANDS,
    SEEDS_TABLE,
    SWEEP_LOG,
    SWEEP_MANIFEST,
    SWEEP_TABLE,
    is_run,
    read_config,
)
from exp.sweeps.jobs import Job, hash_config

# Names in a sweep folder that are not jobs.
_RESERVED = (
    *(FIGURES, SEED_BANDS, FOLD_BANDS, COMPARISON, SWEEP_TABLE, SEEDS_TABLE, FOLDS_TABLE),
    *(REPORT, SWEEP_MANIFEST, MULTIRUN, PREDICTIONS, SEARCH_RECORD, SWEEP_LOG),
)


# Keys of the config that cannot vary between the jobs of a sweep.
_OF_SWEEP = ("folds", "fold_repeats")


# Of a name in the file systems of Linux, macOS and Windows.
_MAX_BYTES = 255


# A search adds a job at a time, and the file lists them all.
_SECONDS_BETWEEN_WRITES = 1.0


# Of how a job's key is computed. The keys of a file without it are of an older version.
_VERSION = 2


def read(folder: Path) -> dict[str, Any]:
    """Return the content of the sweep.json in `folder`: folders, varied, config.

    Raises:
        ConfigError: The file is damaged.
    """
    path = folder / SWEEP_MANIFEST
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if all(
            isinstance(content[name], kind) for name, kind in {"folders": dict, "config": dict, "varied": list}.items()
        ):
            return content
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigError(f"{path} is damaged: it does not list the jobs", "a new sweep, in another folder")


def refuse_running(folder: Path) -> None:
    """Raise ConfigError if another process, which may be on another machine, runs the sweep in `folder`."""
    refuse_other_process(display_path(folder), sweep_json.read(folder).get("process"), folder / SWEEP_MANIFEST)


def _is_job_name(name: str) -> bool:
    return bool(name) and Path(name).name == name and not name.startswith(".") and name not in _RESERVED


def check_job_names(names: Iterable[str]) -> None:
    """Raise ConfigError if one of `names`, which hydra.sweep.subdir gives, cannot be the folder of a job."""
    for name in names:
        size = len(os.fsencode(name))
        if _is_job_name(name) and size <= _MAX_BYTES:
            continue
        what = f"'{name}' cannot be the folder of a job"
        if size > _MAX_BYTES:
            what = f"a folder name of {size} bytes is too long (at most {_MAX_BYTES}): {name[:40]}..."
        else:
            what = f"{what} (one name, without a leading dot, none of {', '.join(_RESERVED)})"
        raise ConfigError(
            f"hydra.sweep.subdir: {what}", "hydra.sweep.subdir='${hydra.job.num}'", key="hydra.sweep.subdir"
        )


def _compute_keys(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the names of those jobs of the sweep in `folder` that have begun, by their keys."""
    return {hash_config(flatten(read_config(folder / name))): name for name in names if is_run(folder / name)}


class Manifest:
    """The jobs of the sweep in `folder`: the name of each job's folder, by the job's key."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SWEEP_MANIFEST
        content = read(folder) if self._path.exists() else {}
        self.folders: dict[str, str] = content.get("folders", {})  # key -> name
        for name in self.folders.values():
            if not _is_job_name(name):
                raise ConfigError(f"{self._path}: '{name}' is not a valid folder name of a job", "another sweep.resume")
        if self.folders and content.get("version") != _VERSION:
            self.folders = _compute_keys(folder, self.folders.values())
        self._base: dict[str, Any] = content.get("config", {})
        self._varied: list[str] = content.get("varied", [])
        self._about: dict[str, Any] = {name: content[name] for name in ("about",) if name in content}
        self._planned: int | None = None
        self._process = describe_process()
        self._next_write = 0.0

    def with_former_paths(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs of a resumed sweep with keys as if a data file that moved were where it was."""
        now, is_equal = jobs[0].flat, {key: len({job.flat.get(key) for job in jobs}) == 1 for key in DATA_PATHS}
        kept = (key for key in DATA_PATHS if is_equal[key] and key not in self._varied)
        former = {key: self._base[key] for key in kept if None not in (self._base.get(key), now.get(key))}
        return [replace(job, flat={**job.flat, **former}) for job in jobs]

    def name_new_place(self, error: DataError) -> DataError:
        """Return the error for a data file that is not found, with the line that resumes the sweep with its new place.

        A path that the sweep does not have was just typed, and keeps its error.
        """
        key = error.key or ""
        if key not in DATA_PATHS or not error.problem.startswith(f"{key}={self._base.get(key)}:"):
            return error
        is_in_python = isinstance(error, MissingRowsError)
        place = error.file if is_in_python else "NEW"
        fix = resume_sweep_command(display_path(self._path.parent.absolute()), f"{key}={place}")
        if is_in_python:
            fix = f"{error.save} in Python, and then\n  {fix}"
        return DataError(error.problem, fix, key=key)

    def add(self, jobs: Sequence[Job], names: Sequence[str], planned: int) -> None:
        """Add jobs to the sweep.

        The file is written, unless that was done a moment ago for earlier trials of a search, which is not resumed in
        its folder.

        A job that is in the sweep already keeps its folder. A new one gets its name in `names`, or a free number if
        that name is taken.

        Args:
            planned: How many jobs the process is to run in all.

        Raises:
            ConfigError: A value that no job varies differs from the sweep's.
        """
        first = jobs[0].flat
        varied = {name for job in jobs for name in {*first, *job.flat} if job.flat.get(name) != first.get(name)}
        varied |= set(self._varied)
        if self._base and jobs[0].number == 0:  # a search adds jobs as it runs, and checks its study instead
            changes = {
                name: change
                for name, change in describe_changes(self._base, first).items()
                if name not in varied and has_effect(name)
            }
            if changes:
                raise self._refuse(changes)
        taken = set(self.folders.values())
        for job, name in zip(jobs, names, strict=True):
            if job.key not in self.folders:
                numbers = map(str, count(len(taken)))
                free = name if name not in taken else next(number for number in numbers if number not in taken)
                self.folders[job.key] = free
                taken.add(free)
        self._base = self._base or dict(first)
        self._varied = sorted(varied)
        self._planned = planned
        if jobs[0].number == 0 or time.monotonic() >= self._next_write:
            self._write()
            self._next_write = time.monotonic() + _SECONDS_BETWEEN_WRITES

    def flush(self) -> None:
        """Write the jobs that were added a moment ago."""
        if self._path.exists():
            self._write()

    def _write(self) -> None:
        content = {"version": _VERSION, "folders": self.folders, "varied": self._varied, "config": self._base}
        content |= {"jobs": self._planned} if self._planned is not None else {}
        content |= {"process": self._process, **self._about}
        sweep_json.write(self._path.parent, content)

    def _refuse(self, changes: Mapping[str, str]) -> ConfigError:
        """Return the error for a config that differs from the sweep's. Jobs are added to those that finished."""
        folder = self._path.parent
        has_finished = any(summary.read(folder / name).get("status") == "finished" for name in self.folders.values())
        more = "both values, separated by a comma, to add jobs, or "
        return ConfigError(
            f"cannot resume the sweep in {folder} with a different config: {'; '.join(changes.values())}",
            f"{more if has_finished and not changes.keys() & set(_OF_SWEEP) else ''}a new sweep, in another folder",
            key="sweep.resume",
        )
