"""What a tracker is: a program other than TensorBoard that keeps the curves, settings and figures of many runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from exp.training.evaluated_rows import EvaluatedRows

# Steps with their values by name, such as loss/val.
Rows: TypeAlias = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run when it begins.

    Args:
        folder: The run folder.
        title: Its name, or its folder.
        settings: Its config, with dotted keys.
        group: The folder of its sweep, if it is a job of one.
        known_as: What `Tracker.begin` returned when the run was started; None for a new run.
    """

    folder: Path
    title: str
    notes: str | None
    tags: tuple[str, ...]
    settings: Mapping[str, Any]
    group: str | None
    known_as: str | None


class Tracker(Protocol):
    """Called in this order: begin, any number of log and picture, end. An error ends the tracking, not the run."""

    def begin(self, run: TrackedRun) -> str:
        """Begin to track the run, or continue it; return what it is known as here."""
        ...

    def log(self, rows: Rows) -> None:
        """Add values. After a resume, steps that were logged before may come again, with the same values."""
        ...

    def picture(self, name: str, path: Path, step: int) -> None:
        """Add the PNG at `path`."""
        ...

    def end(self, status: str, final: Mapping[str, float]) -> None:
        """End with the final metrics. `status`: finished, failed, interrupted, diverged or pruned."""
        ...


class Log(Protocol):
    """What `OwnSink.evaluated` logs to: TensorBoard's file, and the tracker itself."""

    def scalar(self, name: str, value: float) -> None:
        """Add a point to the curve `name`, at the step of the evaluation."""
        ...

    def picture(self, name: str, figure: Any) -> None:
        """Add a picture: a figure of matplotlib, which is saved in figures/, or the path of a PNG."""
        ...


class OwnSink:
    """A tracker that stores nothing outside the run folder.

    Subclass it, or a tracker such as MLflow, and override `evaluated`.
    """

    def begin(self, run: TrackedRun) -> str:
        return str(run.folder)

    def log(self, rows: Rows) -> None:
        """Ignore the curves, which TensorBoard has."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Ignore the figures, which the run folder has."""

    def end(self, status: str, final: Mapping[str, float]) -> None:
        """Ignore the final metrics, which summary.json has."""

    def evaluated(self, rows: EvaluatedRows, log: Log) -> None:
        """Look at the rows of a validation or test split, after each evaluation, and log what they show."""
