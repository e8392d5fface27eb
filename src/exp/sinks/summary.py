"""summary.json: what a run was, how it ended and what came out, for other programs."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any, cast

from exp.events import Built, Ending, Evaluated, Event, Noted, Resumed, Trained
from exp.sinks import table

NAME = "summary.json"


class Summary:
    """Keeps `folder`/summary.json true: `running` from the first moment, and at the end how it ended.

    `known` is what is so already: what was chosen, and of a resumed run what its first part left there.

    `final` holds each split's measures under the final parameters, `best` each split's lowest logged loss and its step.
    """

    def __init__(self, folder: Path, known: dict[str, Any]) -> None:
        self._path = folder / NAME
        self._began = time.perf_counter()
        self._final: dict[str, dict[str, Any]] = known.get("final", {})
        self._content: dict[str, Any] = {**known, "status": "running", "error": None}
        self._write()

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._began = time.perf_counter()
            self._content |= event.facts
            self._write()
        elif isinstance(event, Noted):
            self._content["notes"] = [*self._content.get("notes", []), event.text]
        elif isinstance(event, Resumed):
            self._began -= max((seconds for _, seconds, _, _ in table.rows(self._path.parent)), default=0.0)
        elif isinstance(event, Trained | Evaluated):
            self._content |= {"steps": event.at.step, "epochs": event.at.epoch}
            if isinstance(event, Evaluated):
                self._final[event.split] = event.measures.values()

    def close(self, ending: Ending) -> None:
        self._content |= {
            "status": ending.status,
            "error": ending.error,
            "seconds": round(time.perf_counter() - self._began, 3),
            "final": self._final,
            "best": _best(self._path.parent),
        }
        self._write()

    def _write(self) -> None:
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(_finite(self._content), indent=2, default=str) + "\n", encoding="utf-8")
        os.replace(beside, self._path)


def read(folder: Path) -> dict[str, Any]:
    """What `folder`/summary.json says; nothing if there is none, or if it cannot be read."""
    try:
        return cast("dict[str, Any]", json.loads((folder / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _best(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each split the row of metrics.csv with the lowest loss, the first of them."""
    best: dict[str, dict[str, Any]] = {}
    if (folder / table.NAME).exists():
        for step, _, split, measures in table.rows(folder):
            if split not in best or measures["loss"] < best[split]["loss"]:
                best[split] = {"step": step, **measures}
    return best


def _finite(value: Any) -> Any:
    """The value without NaN and infinity, which JSON does not have: they become words."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
