"""Trackio: curves in SQLite files, by default in outputs/trackio, which `trackio show` shows in a browser."""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from exp.trackers.tracker import Rows, TrackedRun


class Trackio:
    """Logs to Trackio.

    Args:
        project: The name that Trackio lists the runs under.
        folder: Where its files are, unless the environment has TRACKIO_DIR.
    """

    def __init__(self, project: str, folder: str) -> None:
        self._project, self._folder = project, folder
        self._run: Any = None
        self._step = 0

    def begin(self, run: TrackedRun) -> str:
        os.environ.setdefault("TRACKIO_DIR", str(Path(self._folder).absolute()))  # read at import
        trackio: Any = import_module("trackio")
        known_as = run.known_as or (run.title if run.title == str(run.folder) else f"{run.title} {run.folder}")
        words = {"notes": run.notes, "tags": ", ".join(run.tags)}
        self._run = trackio.init(
            project=self._project,
            name=known_as,
            group=run.group,
            config={**run.settings, **{key: value for key, value in words.items() if value}},
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        return known_as

    def log(self, rows: Rows) -> None:
        for step, values in rows:
            self._step = max(self._step, step)
            self._run.log(dict(values), step=step)

    def picture(self, name: str, path: Path, step: int) -> None:
        trackio: Any = import_module("trackio")
        self._run.log({f"figures/{name}": trackio.Image(str(path))}, step=step)

    def end(self, status: str, final: Mapping[str, float]) -> None:
        self._run.log({**final, "status": status}, step=self._step)
        import_module("trackio").finish()
