"""summary.json: what a run was, how it ended and what came out, for other programs."""

import time
from pathlib import Path
from typing import Any

from exp import record
from exp.events import Built, Ending, Evaluated, Event, Noted, Resumed, Trained
from exp.sinks import table


class Summary:
    """Keeps `folder`/summary.json true: `running` from the first moment, and at the end how it ended.

    `known` is what is so already: what was chosen, and of a resumed run what its first part left there.

    `final` holds each split's measures under the final parameters, `best` each split's lowest logged loss and its step.
    """

    def __init__(self, folder: Path, known: dict[str, Any]) -> None:
        self._folder = folder
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
            self._began -= max((seconds for _, seconds, _, _ in table.rows(self._folder)), default=0.0)
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
            "best": _best(self._folder),
        }
        self._write()

    def _write(self) -> None:
        record.write(self._folder, self._content)


def _best(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each split the row of metrics.csv with the lowest loss, the first of them."""
    best: dict[str, dict[str, Any]] = {}
    if (folder / table.NAME).exists():
        for step, _, split, measures in table.rows(folder):
            if split not in best or measures["loss"] < best[split]["loss"]:
                best[split] = {"step": step, **measures}
    return best
