"""Weights & Biases: by default offline, in outputs/wandb, from which `wandb sync` uploads it."""

import os
import uuid
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from exp.trackers.tracker import Rows, TrackedRun


class WandB:
    """Logs to Weights & Biases.

    Args:
        project: The name that W&B lists the runs under.
        mode: offline (local files) or online (upload while the run trains).
        folder: Where the folder wandb with its files is.
        entity: The user or team that owns the project; None: the user who is logged in.
    """

    def __init__(self, project: str, mode: str, folder: str, entity: str | None = None) -> None:
        self._project, self._mode, self._entity = project, mode, entity
        self._folder = Path(folder)  # not that of the run: it has links to W&B's cache
        self._run: Any = None
        self._step = 0

    def begin(self, run: TrackedRun) -> str:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb: Any = import_module("wandb")
        self._folder.mkdir(parents=True, exist_ok=True)
        known_as = run.known_as or uuid.uuid4().hex[:8]
        self._run = wandb.init(
            project=self._project,
            entity=self._entity,
            mode=self._mode,
            dir=str(self._folder.absolute()),
            id=known_as,
            resume="allow" if run.known_as else None,
            name=run.title,
            notes=run.notes,
            tags=run.tags,
            group=run.group,
            config=dict(run.settings),
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True
            ),
        )
        return known_as

    def log(self, rows: Rows) -> None:
        for step, values in rows:
            self._step = max(self._step, step)  # it refuses an earlier one, such as that of the best parameters
            self._run.log(dict(values), step=self._step)

    def picture(self, name: str, path: Path, step: int) -> None:
        wandb: Any = import_module("wandb")
        self._step = max(self._step, step)
        self._run.log({f"figures/{name}": wandb.Image(str(path))}, step=self._step)

    def end(self, status: str, final: Mapping[str, float]) -> None:
        self._run.summary.update({**final, "status": status})
        self._run.finish(exit_code=int(status not in ("finished", "pruned")))
