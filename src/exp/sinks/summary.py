"""summary.json: what a run was, how it ended and what came out, for other programs."""

import time
from pathlib import Path
from typing import Any

from exp import record
from exp.events import Built, Ending, Evaluated, Event, Noted, Position, Resumed, Trained
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
            told = list(table.rows(self._folder))
            self._began -= max((seconds for _, seconds, _, _ in told), default=0.0)
            for step, _, split, measures in told:
                self._compare(split, step, measures)
        elif isinstance(event, Trained):
            self._at = event.at
            self._compare("train", event.at.step, event.measures.values())
        elif isinstance(event, Evaluated):
            self._at = event.at
            self._final[event.split] = event.measures.values()
            if event.split != "train":  # there, the rows of metrics.csv are those of training
                self._compare(event.split, event.at.step, event.measures.values())

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

    def _compare(self, split: str, step: int, measures: dict[str, float]) -> None:
        if split not in self._best or measures["loss"] < self._best[split]["loss"]:
            self._best[split] = {"step": step, **measures}

    def _write(self) -> None:
        record.write(self._folder, self._content)
