"""How far a run is, from its files, while it runs or after it. Imports no torch."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from exp.errors import ConfigError
from exp.results import metrics_csv, summary
from exp.results.heartbeat import seconds_since_beat
from exp.results.run_folder import SUMMARY, check_is_run, read_config, resume_command


@dataclass(frozen=True)
class Process:
    """The process that writes a folder, or wrote it last. Values are None if the folder does not say.

    Attributes:
        began: When it began to write the folder, ISO 8601.
        seconds_since_heartbeat: None unless it runs.
    """

    host: str | None
    pid: int | None
    began: str | None
    seconds_since_heartbeat: float | None

    @classmethod
    def read(cls, record: Mapping[str, Any] | None, touched: Path, is_running: bool) -> "Process":
        """Return the process that `record` describes; `touched` is the file of its heartbeat."""
        known = record or {}
        age = round(seconds_since_beat(touched), 1) if is_running else None
        return cls(known.get("host"), known.get("pid"), known.get("began"), age)


@dataclass(frozen=True)
class RunStatus:
    """How far the run in `folder` is.

    Attributes:
        status: not begun, running, died, finished, failed, interrupted, diverged, pruned or damaged.
        step, epoch: Those of the last row of metrics.csv; None before the first one.
        steps, epochs: How many the run is to make; None before it is built.
        seconds: How long it took; None unless it ended.
        metrics: The last metrics of each split and their step. A run that ended has its final ones instead.
    """

    kind: ClassVar[str] = "run"

    folder: str
    status: str
    step: int | None
    steps: int | None
    epoch: float | None
    epochs: int | None
    seconds: float | None
    process: Process
    metrics: dict[str, dict[str, Any]]
    error: str | None

    @property
    def has_succeeded(self) -> bool:
        return self.status in ("finished", "pruned")

    @property
    def resume(self) -> str | None:
        """The line that continues the run, if it did not reach its end."""
        return resume_command(Path(self.folder)) if self.status in ("died", "failed", "interrupted") else None

    def fields(self) -> dict[str, Any]:
        """Return what programs read of it."""
        return {"kind": self.kind, **asdict(self), "resume": self.resume}


def read_run_status(folder: Path) -> RunStatus:
    """Read the status of a run. ConfigError if there is none in `folder`."""
    check_is_run(folder)
    content = summary.read(folder)
    status = content.get("status", "not begun")
    last = metrics_csv.read_last(folder)
    latest = max(last.values(), key=lambda row: row.step, default=None)
    splits = (split for split in ("train", "val", "test") if split in last)
    metrics: dict[str, dict[str, Any]] = {split: {"step": last[split].step, **last[split].metrics} for split in splits}
    if status not in ("running", "died"):
        metrics |= content.get("final", {})
    step, epoch = (None, None) if latest is None else (latest.step, latest.epoch)
    if status == "finished":
        step, epoch = content.get("steps", step), content.get("epochs", epoch)
    return RunStatus(
        folder=str(folder),
        status=status,
        step=step,
        steps=content.get("planned_steps"),
        epoch=epoch,
        epochs=_planned_epochs(folder, content),
        seconds=content.get("seconds") if status not in ("running", "died") else None,
        process=Process.read(content.get("process"), folder / SUMMARY, status == "running"),
        metrics=metrics,
        error=content.get("error"),
    )


def _planned_epochs(folder: Path, content: dict[str, Any]) -> int | None:
    epochs: Any = content.get("decided", {}).get("epochs")
    with suppress(ConfigError):
        epochs = read_config(folder)["epochs"] if epochs is None else epochs
    return epochs if isinstance(epochs, int) else None
