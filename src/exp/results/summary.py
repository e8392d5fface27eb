"""summary.json: what was run, how it ended, and its final metrics, for other programs."""

import json
import math
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from exp.config.former_names import rename_overrides
from exp.config.metric_names import is_higher_better
from exp.errors import ConfigError
from exp.results import metrics_csv, run_folder
from exp.results.atomic import replacement
from exp.results.heartbeat import Heartbeat, describe_death, describe_process, is_alive, refuse_other_process
from exp.results.run_folder import LAST_CHECKPOINT, METRICS, SUMMARY, find_results, resume_command
from exp.training.curves import evaluations_of
from exp.training.events import Baseline, Built, Ending, Evaluated, Event, Noted, Resumed, Trained

if TYPE_CHECKING:
    from exp.data.batches import Position

# The types that other modules rely on.
_EXPECTED_TYPES: dict[str, Any] = {
    "about": dict,
    "environment": dict,
    "process": dict,
    "choices": dict,
    "rows": dict,
    "final": dict,
    "best": dict,
    "baseline": dict,
    "described": dict,
    "decided": dict,
    "overrides": list,
    "notes": list,
    "seconds": int | float,
}

# Those of them whose values are dicts, by split.
_BY_SPLIT = ("final", "best")


def read(folder: Path) -> dict[str, Any]:
    """Return the content of `folder`/summary.json, without values of an unexpected type; empty if it cannot be read.

    The status is `died` where the file says `running`, but the process of the run is gone, and `damaged` where the file
    is not JSON. Every status is read here.
    """
    try:
        content: Any = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return {"status": "damaged", "error": f"{folder / SUMMARY} is damaged"}
    known = cast("dict[str, Any]", content)
    process = known.get("process")
    if known.get("status") == "running" and not is_alive(process, folder / SUMMARY):
        known |= {"status": "died", "error": describe_death(process)}
    kept = {key: value for key, value in known.items() if isinstance(value, _EXPECTED_TYPES.get(key, object))}
    for key in _BY_SPLIT:
        if key in kept:
            kept[key] = {split: metrics for split, metrics in kept[key].items() if isinstance(metrics, dict)}
    return kept


def read_overrides(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Return the overrides of the run in `folder`, from the `content` of its summary.json or else from Hydra's record.

    Their keys have the present names. If the record is damaged, there are none.
    """
    words: list[object] | None = content.get("overrides")
    if words is not None:
        return rename_overrides(word for word in words if isinstance(word, str))
    try:
        return run_folder.read_overrides(folder)
    except ConfigError:
        return []


def format_environment(folder: Path) -> str:
    """Return the run's machine and versions, a line each."""
    environment: dict[str, Any] = read(folder).get("environment", {})
    return "\n".join(f"{key:<14} {value}" for key, value in environment.items())


def write(folder: Path, content: dict[str, Any]) -> None:
    """Write `content` to `folder`/summary.json."""
    with replacement(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(finite(content), indent=2, default=str) + "\n", encoding="utf-8")


def write_failure(folder: Path, error: str, overrides: list[str]) -> None:
    """Write for a run whose process died that it failed."""
    write(folder, {"overrides": overrides, **read(folder), "status": "failed", "error": error})


def describe_unfinished(folder: Path) -> str | None:
    """Return how the run in `folder` ended, and how to resume it, if it can be; None if it is finished or pruned."""
    status = read(folder).get("status")
    if status in ("finished", "pruned"):
        return None
    if status is None or status == "damaged":
        return f"{folder / SUMMARY} is {'missing' if status is None else status}: whether the run finished is not known"
    onward = "" if status in ("diverged", "running") else f"; to resume it: {resume_command(folder)}"
    return f"{folder} {'died' if status == 'died' else f'is {status}'}, not finished{onward}"


def has_nothing(folder: Path) -> bool:
    """Return whether the run in `folder` ended before its first step, so that another may take its place."""
    content = read(folder)
    if content.get("status") == "died":  # while it was built, if it has no metrics.csv
        return not (folder / METRICS).exists()
    is_over = content.get("status") in ("failed", "diverged", "interrupted")
    return is_over and not content.get("steps") and not (folder / LAST_CHECKPOINT).exists()


def refuse_running(folder: Path) -> None:
    """Raise ConfigError if a process, which may be on another machine, runs the run in `folder`."""
    content = read(folder)
    if content.get("status") == "running":
        refuse_other_process(folder, content["process"], folder / SUMMARY)


def find_results_to_keep(folder: Path) -> str | None:
    """Return what `folder` contains that a new run must not replace or mix with, as `find_results` does."""
    found = find_results(folder)
    return None if found == "a run" and has_nothing(folder) else found


def finite(value: Any) -> Any:
    """Return `value` with NaN and infinity, which JSON does not have, as strings."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class SummarySink:
    """Writes `folder`/summary.json: with status `running` from the start, and at the end with how the run ended.

    Until then the time of the file is the run's heartbeat: see `read`.

    `engine` is the one that was asked for, `engine_used` what made the last logged steps: compiled, replay or eager.
    `final` holds each split's metrics under the final parameters, which are those of `restored_step` if there is one;
    then `last` has the validation metrics of the last step. `best` holds each split's best logged metric (metric=; the
    loss of train) and its step, `baseline` the metrics of guessing.

    Args:
        known: Content from the start: the choices, and for a resumed run its previous summary.
    """

    def __init__(self, folder: Path, known: dict[str, Any]) -> None:
        self._folder = folder
        self._began = time.perf_counter()
        self._final: dict[str, dict[str, Any]] = known.get("final", {})
        self._best: dict[str, dict[str, Any]] = {}
        self._at: Position | None = None
        self._metric, self._sign = "loss", 1  # -1: higher is better
        self._restores_best = False
        self._last: dict[str, Any] = {}  # the latest validation metrics
        self._content: dict[str, Any] = {**known, "status": "running", "error": None, "process": describe_process()}
        for name in ("restored_step", "last"):  # of a run that is trained longer now
            self._content.pop(name, None)
        self._write()
        self._heartbeat = Heartbeat(folder / SUMMARY)

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._began = time.perf_counter()
            self._content |= event.facts
            self._metric, self._restores_best = event.metric, event.restores_best
            self._sign = -1 if is_higher_better(event.metric) else 1
            self._write()
        elif isinstance(event, Noted):
            self._content["notes"] = [*self._content.get("notes", []), event.text]
            self._write()
        elif isinstance(event, Baseline):
            self._content["baseline"] = {"name": event.name, "split": event.split, "metrics": event.metrics}
        elif isinstance(event, Resumed):
            self._at = event.at
            self._content.pop("restored_step", None)  # of the previous end
            rows = list(metrics_csv.read_rows(self._folder))
            self._began -= max((row.seconds for row in rows), default=0.0)
            for row in rows:
                self._update_best(row.split, row.step, row.metrics)
                if row.split == "val":
                    self._last = {"step": row.step, **row.metrics}
        elif isinstance(event, Trained):
            self._at = event.at.row(-1)
            self._content["engine_used"] = event.engine
            name, sign = self._deciding(event.columns)
            place = min(range(len(event.at.step)), key=[sign * value for value in event.columns[name]].__getitem__)
            best = {name: values[place] for name, values in event.columns.items()}
            self._update_best("train", event.at.step[place], best)
        for evaluated in evaluations_of(event):
            self._handle_evaluated(evaluated)

    def _handle_evaluated(self, event: Evaluated) -> None:
        if event.restored:
            self._content["restored_step"] = event.at.step
        else:
            self._at = max(event.at, self._at or event.at)  # one of a Trained event is before the end of its steps
            if event.split == "val":
                self._last = {"step": event.at.step, **event.values}
        self._final[event.split] = event.values
        if event.split != "train":  # the training rows of metrics.csv are Trained events
            self._update_best(event.split, event.at.step, event.values)

    def close(self, ending: Ending) -> None:
        self._heartbeat.stop()
        if ending.status != "finished" and self._restores_best and self._best.get("val", self._last) != self._last:
            # The parameters that the commands use: the run ended before it could restore them itself.
            best = self._best["val"]
            self._content["restored_step"] = best["step"]
            self._final["val"] = {name: value for name, value in best.items() if name != "step"}
        if "restored_step" in self._content:
            self._content["last"] = {"val": self._last}
        self._content |= {
            "status": ending.status,
            "error": ending.error,
            **({"steps": self._at.step, "epochs": self._at.epoch} if self._at is not None else {}),
            "seconds": round(time.perf_counter() - self._began, 3),
            "final": self._final,
            "best": self._best,
        }
        self._write()

    def _update_best(self, split: str, step: int, metrics: dict[str, float]) -> None:
        """Keep the metrics of the step if they are better than the best before; of equal ones the first."""
        best, (name, sign) = self._best.get(split, {}), self._deciding(metrics)
        if name not in best or sign * metrics[name] < sign * best[name]:
            self._best[split] = {"step": step, **metrics}

    def _deciding(self, metrics: Collection[str]) -> tuple[str, int]:
        """Return the metric that the best of rows with these metrics has, and its sign."""
        return (self._metric, self._sign) if self._metric in metrics else ("loss", 1)

    def _write(self) -> None:
        write(self._folder, self._content)
