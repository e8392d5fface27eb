"""TrackerSink: hand the events of a run to a tracker, whose errors and random numbers do not reach the run."""

import io
import json
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, cast

import yaml

from exp.config.instantiate import instantiate
from exp.config.run_spec import RunSpec
from exp.config.schema import flatten
from exp.config.user_code import place_of
from exp.data.batches import Position
from exp.data.seeding import preserved_streams
from exp.errors import ExpError, display_path
from exp.results.atomic import replacement
from exp.results.run_folder import is_sweep
from exp.trackers.own_log import OwnLog
from exp.trackers.tracker import OwnSink, TrackedRun, Tracker
from exp.training.build import Experiment
from exp.training.evaluated_rows import evaluated_rows
from exp.training.events import Drawn, Ending, Evaluated, Event, Logged, Noted, Snapshot, Trained

# In the run folder: the tracker, and what it knows the run as.
RECORD = "tracker.json"

# How long values may be in memory only, and how many.
_MAX_SECONDS, _MAX_ROWS = 2.0, 1000

# Settings of the command, not of the run.
_NO_SETTINGS = ("sweep.", "resume", "tracker.", "name", "notes")


class TrackerSink:
    """Sends what TensorBoard's event file has too: curves by the number of updates, figures, and the final metrics.

    The tracker is called a few times a second. If it fails, the run continues without it, and a warning says why.

    Args:
        tags: The words of `exp tag`.
        resume_step: Of a resumed run, the step after which values are logged; None for a new run.
        post: Hands an event to all sinks: a warning, and what a tracker of the user's own logs.
        experiment: Predicts the rows for such a tracker.
    """

    def __init__(
        self,
        spec: RunSpec,
        tags: tuple[str, ...],
        resume_step: int | None,
        post: Callable[[Event], None],
        experiment: Experiment,
    ) -> None:
        self._spec, self._tags, self._post, self._experiment = spec, tags, post, experiment
        self._written = -1 if resume_step is None else resume_step
        self._at = Position(0, 0, 0)
        self._tracker: Tracker | None = None
        self._rows: list[tuple[int, dict[str, float]]] = []
        self._flushed = time.monotonic()
        self._final: dict[str, float] = {}
        self._call(self._begin)

    def handle(self, event: Event) -> None:
        if isinstance(event, Trained):
            names = [*(f"{name}/train" for name in event.columns), "lr"]
            for index, values in enumerate(zip(*event.columns.values(), strict=True)):
                self._add(event.at.row(index), dict(zip(names, [*values, event.lr], strict=True)))
        elif isinstance(event, Evaluated):  # with a tracker, none is part of a Trained event
            values = event.values
            self._final |= {f"final/{name}/{event.split}": value for name, value in values.items()}
            if event.is_of_curve:
                self._add(event.at, {f"{name}/{event.split}": value for name, value in values.items()})
                self._evaluated(event)
        elif isinstance(event, Logged):
            self._rows.append((event.at.step, event.values))
        elif isinstance(event, Drawn):
            self._call(self._picture, event)
        is_due = len(self._rows) >= _MAX_ROWS or time.monotonic() - self._flushed > _MAX_SECONDS
        if is_due or (isinstance(event, Snapshot) and not event.best):
            self._call(self._flush)

    def close(self, ending: Ending) -> None:
        self._call(self._end, ending)

    def _evaluated(self, event: Evaluated) -> None:
        """Let a tracker of the user's own look at the rows, and post what it logs."""
        if hasattr(self._tracker, "evaluated") and (event.at.step > self._written or event.split == "test"):
            log = OwnLog(self._spec.folder, event.at)
            self._call(self._look, event, log)
            for one in log.events():
                self._post(one)

    def _look(self, event: Evaluated, log: OwnLog) -> None:
        cast("OwnSink", self._tracker).evaluated(evaluated_rows(self._experiment, event), log)

    def _add(self, at: Position, values: dict[str, float]) -> None:
        if at.step > self._written or any(name.endswith("/test") for name in values):
            self._at = at
            self._rows.append((at.step, values))

    def _begin(self) -> None:
        path, node = self._spec.folder / RECORD, self._spec.config.tracker
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known_as: str | None = before.get("run") if before.get("tracker") == node["_target_"] else None
        tracker = cast("Tracker", instantiate("tracker", dict(node)))
        found = tracker.begin(self._describe(known_as))
        with replacement(path) as new:
            new.write_text(json.dumps({"tracker": node["_target_"], "run": found}) + "\n", encoding="utf-8")
        self._tracker = tracker

    def _describe(self, known_as: str | None) -> TrackedRun:
        config, folder = self._spec.config, display_path(self._spec.folder.absolute())
        settings = flatten(cast("Mapping[str, Any]", yaml.safe_load(self._spec.config_yaml)))
        kept = {key: value for key, value in settings.items() if not key.startswith(_NO_SETTINGS)}
        group = next((str(one) for one in folder.parents if is_sweep(one)), None)
        title = config.name or str(folder)
        return TrackedRun(folder, title, config.notes, self._tags, kept, group, known_as)

    def _picture(self, event: Drawn) -> None:
        if self._tracker is not None:
            self._tracker.picture(event.name, Path(event.path), event.at.step)

    def _flush(self) -> None:
        rows, self._rows, self._flushed = self._rows, [], time.monotonic()
        if self._tracker is not None and rows:
            self._tracker.log(rows)

    def _end(self, ending: Ending) -> None:
        self._flush()
        if self._tracker is not None:
            self._tracker.end(ending.status, self._final)

    def _call(self, do: Callable[..., None], *arguments: object) -> None:
        """Call `do`. What it prints, warns of and draws from the random streams does not reach the run."""
        try:
            hidden = io.StringIO()
            with preserved_streams(), warnings.catch_warnings(), redirect_stdout(hidden), redirect_stderr(hidden):
                warnings.simplefilter("ignore")
                do(*arguments)
        except Exception as error:
            self._tracker = None
            said = error.problem if isinstance(error, ExpError) else f"{type(error).__name__}: {error}{place_of(error)}"
            what = f"the tracker failed, and the run continues without it: {said}"
            self._post(Noted(self._at, what, is_warning=True))
