"""JobFolders: the folders of a sweep's jobs, what is written there around a job, and the jobs' rows of sweep.csv."""

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from exp.config.run_spec import RunSpec
from exp.errors import ConfigError
from exp.results import summary, sweep_csv
from exp.results.heartbeat import Heartbeat
from exp.results.lock import folder_lock
from exp.results.run_folder import OVERRIDES, SUMMARY, SWEEP_MANIFEST
from exp.sweeps.jobs import Job, JobComposer, activate_job_config
from exp.sweeps.manifest import Manifest
from exp.sweeps.plugins import is_search
from exp.sweeps.task import Outcome, Task

# Jobs with one of these are not run again.
_FINAL_STATUSES = ("finished", "diverged", "pruned")


_SECONDS_BETWEEN_TABLES = 1.0

# Of the time of the sweep's process that writing sweep.csv may take: it is written as a whole, with a row for each job.
_SHARE_OF_TABLES = 0.02


# How long to wait until the worker of a killed sweep has saved its job.
_LOCK_TIMEOUT = 20.0


class JobFolders:
    """The folders of the jobs of one sweep. `draws_figures`: what figures=auto means for its jobs."""

    def __init__(
        self,
        context: HydraContext,
        function: TaskFunction,
        config: DictConfig,
        composer: JobComposer,
        draws_figures: bool,
    ) -> None:
        self._context = context
        self._function = function
        self._config = config
        self._composer = composer
        self._draws_figures = draws_figures
        self._is_search = is_search(config)
        self._has_callbacks = len(config.hydra.callbacks) > 1  # of the user: exp's own does not need them
        self._folder = Path(str(config.hydra.sweep.dir))
        self.manifest = Manifest(self._folder)
        self._rows = sweep_csv.read_rows(self._folder)
        self._next_table = time.perf_counter() + _SECONDS_BETWEEN_TABLES

    @contextmanager
    def heartbeat(self) -> Generator[None]:
        """Keep the heartbeat of the sweep, whose sweep.json is complete when the context exits."""
        beat = Heartbeat(self._folder / SWEEP_MANIFEST)
        try:
            yield
        finally:
            beat.stop()
            self.manifest.flush()

    def read_fingerprint(self, job: Job) -> str | None:
        """Return the fingerprint of the rows that the job was trained on; None if it has not begun."""
        name = self.manifest.folders.get(job.key)
        return None if name is None else summary.read(self._folder / name).get("data_sha256")

    def read_fingerprints(self) -> set[str]:
        """Return the fingerprints of the rows that the jobs of the sweep were trained on."""
        content = (summary.read(self._folder / name) for name in self.manifest.folders.values())
        return {str(one["data_sha256"]) for one in content if one.get("data_sha256") is not None}

    def has_ended(self, job: Job) -> bool:
        """Return whether the job needs not run again."""
        return self._row(job).get("status") in _FINAL_STATUSES

    def make_task(self, job: Job) -> Task:
        """Create the job's folder with Hydra's files in it, and return the task to submit."""
        folder = self.path(job)
        task, shared = self._composer.compose_task(job.overrides), self._composer.shared(job.overrides)
        dirname = self._composer.override_dirname(job.overrides)
        is_begun = (folder / SUMMARY).exists()
        with folder_lock(folder, _LOCK_TIMEOUT) if is_begun else nullcontext():
            if is_begun:
                summary.refuse_running(folder)
            resolved = shared.files.write(folder, task, job.overrides, job.number, dirname)
        log, environment = shared.files.resolve_logging(
            folder, lambda: activate_job_config(self._composer.compose(job.overrides), job.number)
        )
        self._notify_callbacks(job)
        config = replace(
            job.config,
            figures=self._draws_figures if job.config.figures == "auto" else job.config.figures,
            resume=str(folder) if is_begun else None,
        )
        spec = RunSpec(config, folder, resolved, shared.choices, job.overrides)
        return Task(spec, log, environment)

    def remove_unstarted(self, job: Job) -> None:
        """Remove the folder of a job that did not begin."""
        folder = self.path(job)
        if not (folder / SUMMARY).exists():
            shutil.rmtree(folder)

    def record(self, job: Job, outcome: Outcome) -> sweep_csv.Row:
        """Record the outcome of a job, and return its row of sweep.csv.

        A process that died could not write the failure into summary.json itself, and a resume that fails does not.
        """
        folder = self.path(job)
        if not (folder / OVERRIDES).exists():
            self.make_task(job)  # sweep.csv has a row per job folder
            summary.write_failure(folder, "its folder was removed while it ran", job.overrides)
        if outcome.error is not None:
            with suppress(ConfigError), folder_lock(folder):  # unless another process resumes the job
                if summary.read(folder).get("status") not in ("failed", "diverged"):
                    summary.write_failure(folder, outcome.error, job.overrides)
        row = self._rows[folder.name] = sweep_csv.read_row(folder)
        if (began := time.perf_counter()) > self._next_table:
            sweep_csv.write(self._folder, self._rows.values())
            now = time.perf_counter()
            self._next_table = now + max(_SECONDS_BETWEEN_TABLES, (now - began) / _SHARE_OF_TABLES)
        self._notify_callbacks(job, ended=True)
        return row

    def job_return(self, job: Job) -> JobReturn:
        """Return the result of a job as Hydra expects it."""
        row, metric = self._row(job), self._config.sweep.metric
        if self._is_search and row.get("status") == "finished" and metric not in row:
            has_val = any(name.endswith("/val") for name in row)
            override = "sweep.metric=loss/val" if has_val else "dataset.split=[.6,.2,.2]"
            raise ConfigError(
                f"sweep.metric={metric}: the jobs do not have {'this metric' if has_val else 'validation rows'}",
                override,
                key="sweep.metric",
                override=override,
            )
        result = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
        result.working_dir = str(self.path(job))
        result.return_value = sweep_csv.metric_value(row, metric)
        return result

    def path(self, job: Job) -> Path:
        """Return the folder of the job."""
        return self._folder / self.manifest.folders[job.key]

    def _row(self, job: Job) -> sweep_csv.Row:
        return self._rows.get(self.manifest.folders[job.key], {})

    def _notify_callbacks(self, job: Job, ended: bool = False) -> None:
        """Call the user's Hydra callbacks for a job that begins or has ended."""
        if self._has_callbacks:
            cfg = activate_job_config(self._composer.compose(job.overrides), job.number)
            if ended:
                self._context.callbacks.on_job_end(config=cfg, job_return=self.job_return(job))
            else:
                self._context.callbacks.on_job_start(config=cfg, task_function=self._function)
