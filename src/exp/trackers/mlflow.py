"""MLflow: runs, parameters, metrics and figures in a database, by default a file of its own in outputs/."""

import logging
import os
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from exp.trackers.store_lock import store_lock
from exp.trackers.tracker import Rows, TrackedRun

# What MLflow takes at once.
_MAX_METRICS, _MAX_PARAMS = 1000, 100
_STATUS = {"finished": "FINISHED", "pruned": "FINISHED", "interrupted": "KILLED"}


class MLflow:
    """Logs to MLflow.

    Args:
        uri: The store: sqlite:///FILE, or the address of a server.
        experiment: The name that MLflow lists the runs under.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri, self._experiment = uri, experiment
        _, is_file, path = uri.partition("sqlite:///")
        self._file = Path(path).absolute() if is_file else None
        self._client: Any = None
        self._id = ""
        self._written: dict[str, int] = {}  # of a resumed run: the last step of each metric

    def begin(self, run: TrackedRun) -> str:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        entities: Any = import_module("mlflow.entities")
        with store_lock(self._file):
            self._client = import_module("mlflow.tracking").MlflowClient(tracking_uri=self._uri)
            found = self._client.get_experiment_by_name(self._experiment)
            figures = self._file.with_name("mlflow-figures").as_uri() if self._file else None
            number = found.experiment_id if found else self._client.create_experiment(self._experiment, figures)
        known: Mapping[str, str] = {}
        if run.known_as is None:
            self._id = self._client.create_run(number, run_name=run.title).info.run_id
        else:
            self._id = run.known_as
            self._client.update_run(self._id, status="RUNNING")
            data = self._client.get_run(self._id).data
            known = data.params  # which MLflow never changes
            for name in data.metrics:
                self._written[name] = max(one.step for one in self._client.get_metric_history(self._id, name))
        words = {"mlflow.note.content": run.notes, "sweep": run.group, "tags": ", ".join(run.tags)}
        tags = [entities.RunTag(key, value) for key, value in {**words, "folder": str(run.folder)}.items() if value]
        params = [entities.Param(key, str(value)) for key, value in run.settings.items() if key not in known]
        for start in range(0, len(params) or 1, _MAX_PARAMS):
            self._client.log_batch(self._id, params=params[start : start + _MAX_PARAMS], tags=tags)
        return self._id

    def log(self, rows: Rows) -> None:
        metric, now = import_module("mlflow.entities").Metric, int(1000 * time.time())
        flat = ((step, name, value) for step, values in rows for name, value in values.items())
        new = [metric(name, value, now, step) for step, name, value in flat if step > self._written.get(name, -1)]
        for start in range(0, len(new), _MAX_METRICS):
            self._client.log_batch(self._id, metrics=new[start : start + _MAX_METRICS])

    def picture(self, name: str, path: Path, step: int) -> None:
        del name, step  # the file has the name, and a figure is drawn once
        self._client.log_artifact(self._id, str(path), "figures")

    def end(self, status: str, final: Mapping[str, float]) -> None:
        self._written.clear()
        self.log([(0, final)])
        self._client.set_terminated(self._id, _STATUS.get(status, "FAILED"))
