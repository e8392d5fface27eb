"""summary.json on the disk: what a run was, how it ended and what came out, for other programs."""

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from exp.results import metrics_csv
from exp.results.atomic import replacement
from exp.training.events import Built, Ending, Evaluated, Event, Noted, Resumed, Trained

NAME = "summary.json"


if TYPE_CHECKING:
    from exp.data.batches import Position

# What other modules read of it, and as what.
_EXPECTED_TYPES = {
    "environment": dict,
    "choices": dict,
    "final": dict,
    "best": dict,
    "described": dict,
    "overrides": list,
    "notes": list,
}


def read(folder: Path) -> dict[str, Any]:
    """What `folder`/summary.json says, as far as it can be read and is of the kind that it should be."""
    try:
        content: Any = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    known = cast("dict[str, Any]", content)
    return {key: value for key, value in known.items() if isinstance(value, _EXPECTED_TYPES.get(key, object))}


def format_environment(folder: Path) -> str:
    """A line for each thing that the run's numbers depend on besides its config, for a person."""
    found: dict[str, Any] = read(folder).get("environment", {})
    return "\n".join(f"{key:<14} {value}" for key, value in found.items())


def write(folder: Path, content: dict[str, Any]) -> None:
    """Put `content` there in one move."""
    with replacement(folder / NAME) as temporary:
        temporary.write_text(json.dumps(_finite(content), indent=2, default=str) + "\n", encoding="utf-8")


def write_failure(folder: Path, error: str, overrides: list[str]) -> None:
    """Say for a run whose process died that it failed."""
    write(folder, {"overrides": overrides, **read(folder), "status": "failed", "error": error})


def _finite(value: Any) -> Any:
    """The value without NaN and infinity, which JSON does not have: they become words."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class SummarySink:
    """Keeps `folder`/summary.json true: `running` from the first moment, and at the end how it ended.

    `known` is what is so already: what was chosen, and of a resumed run what its first part left there.
    `final` holds each split's metrics under the final parameters, `best` each split's lowest logged loss and its step.
    """

    def __init__(self, folder: Path, known: dict[str, Any]) -> None:
        self._folder = folder
        self._began = time.perf_counter()
        self._final: dict[str, dict[str, Any]] = known.get("final", {})
        self._best: dict[str, dict[str, Any]] = {}
        self._at: Position | None = None
        self._content: dict[str, Any] = {**known, "status": "running", "error": None}
        self._write()

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._began = time.perf_counter()
            self._content |= event.facts
            self._write()
        elif isinstance(event, Noted):
            self._content["notes"] = [*self._content.get("notes", []), event.text]
            self._write()
        elif isinstance(event, Resumed):
            rows = list(metrics_csv.read_rows(self._folder))
            self._began -= max((row.seconds for row in rows), default=0.0)
            for row in rows:
                self._compare(row.split, row.step, row.metrics)
        elif isinstance(event, Trained):
            self._at = event.at
            self._compare("train", event.at.step, event.metrics.values())
        elif isinstance(event, Evaluated):
            self._at = event.at
            self._final[event.split] = event.metrics.values()
            if event.split != "train":  # there, the rows of metrics.csv are those of training
                self._compare(event.split, event.at.step, event.metrics.values())

    def close(self, ending: Ending) -> None:
        self._content |= {
            "status": ending.status,
            "error": ending.error,
            **({"steps": self._at.step, "epochs": self._at.epoch} if self._at is not None else {}),
            "seconds": round(time.perf_counter() - self._began, 3),
            "final": self._final,
            "best": self._best,
        }
        self._write()

    def _compare(self, split: str, step: int, metrics: dict[str, float]) -> None:
        if split not in self._best or metrics["loss"] < self._best[split]["loss"]:
            self._best[split] = {"step": step, **metrics}

    def _write(self) -> None:
        write(self._folder, self._content)
