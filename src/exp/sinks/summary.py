"""summary.json: what a run was, how it ended and what came out, for other programs."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from exp.events import Built, Ending, Evaluated, Event, Noted, Trained

NAME = "summary.json"


class Summary:
    """Keeps `folder`/summary.json true: `running` from the first moment, and at the end how it ended.

    `final` holds each split's measures under the final parameters, `best` each split's lowest logged loss and its step.
    """

    def __init__(self, folder: Path, choices: dict[str, Any]) -> None:
        self._path = folder / NAME
        self._began = time.perf_counter()
        self._final: dict[str, dict[str, Any]] = {}
        self._best: dict[str, dict[str, Any]] = {}
        self._content: dict[str, Any] = {"status": "running", "error": None, **choices}
        self._write()

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._began = time.perf_counter()
            self._content |= event.facts
            self._write()
        elif isinstance(event, Noted):
            self._content["notes"] = [*self._content.get("notes", []), event.text]
        elif isinstance(event, Trained | Evaluated):
            values = event.measures.values()
            self._content |= {"steps": event.at.step, "epochs": event.at.epoch}
            if isinstance(event, Evaluated):
                self._final[event.split] = values
            split = "train" if isinstance(event, Trained) else event.split
            logged = isinstance(event, Trained) or split != "train"
            if logged and (split not in self._best or values["loss"] < self._best[split]["loss"]):
                self._best[split] = {"step": event.at.step, **values}

    def close(self, ending: Ending) -> None:
        self._content |= {
            "status": ending.status,
            "error": ending.error,
            "seconds": round(time.perf_counter() - self._began, 3),
            "final": self._final,
            "best": self._best,
        }
        self._write()

    def _write(self) -> None:
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(_finite(self._content), indent=2, default=str) + "\n", encoding="utf-8")
        os.replace(beside, self._path)


def _finite(value: Any) -> Any:
    """The value without NaN and infinity, which JSON does not have: they become words."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
