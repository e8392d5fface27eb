"""Sweep: run the jobs of one sweep, record their outcomes, and print how to resume."""

import shlex
import shutil
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from exp.config.run_spec import RunSpec
from exp.config.schema import choices_of
from exp.errors import ConfigError, pluralize
from exp.results import summary, sweep_csv
from exp.results.lock import folder_lock
from exp.results.run_folder import OVERRIDES, SUMMARY, config_dir_in
from exp.sweeps.executors._base import Executor
from exp.sweeps.jobs import Job, JobComposer, activate_job_config
from exp.sweeps.manifest import Manifest
from exp.sweeps.plugins import is_search
from exp.sweeps.task import Outcome, Task
from exp.training.interrupts import graceful_stop

if TYPE_CHECKING:
    from exp.sweeps.progress import SweepProgress
    from exp.training.events import PruningCallback


# Jobs with one of these are not run again.
_FINAL_STATUSES = ("finished", "diverged", "pruned")


# figures=auto: with more jobs none has figures of its own, because drawing takes longer than training a small model.
_MAX_JOBS_WITH_FIGURES = 16


_SECONDS_BETWEEN_TABLES = 1.0


# How long to wait for an outcome before signals are checked again.
_POLL_SECONDS = 0.1


# How long to wait until the worker of a killed sweep has saved its job.
_LOCK_TIMEOUT = 20.0


class Sweep:
    """The jobs of one sweep and their states."""

    def __init__(
        self,
        context: HydraContext,
        function: TaskFunction,
        config: DictConfig,
        composer: JobComposer,
        jobs: Sequence[Job],
        names: Sequence[str],
        pruning: "Sequence[PruningCallback]",
    ) -> None:
        self._pruning = dict(zip((job.number for job in jobs), pruning, strict=False))
        self._context = context
        self._function = function
        self._config = config
        self._composer = composer
        self._jobs = jobs
        self._is_search = is_search(config)
        self._folder = Path(str(config.hydra.sweep.dir))
        self._names = Manifest(self._folder).add(jobs, names)
        self._rows = sweep_csv.read_rows(self._folder)
        self._written_at = time.perf_counter()
        distinct = {job.key: job for job in jobs}  # equal jobs run once
        self._distinct_jobs = len(distinct)
        self._queue = deque(job for key, job in distinct.items() if self._row(key).get("status") not in _FINAL_STATUSES)
        self._running: dict[Future[Outcome], Job] = {}
        self._stops_on_error = config.sweep.on_error == "stop"
        self._is_stopping = self._is_interrupted = False

    def run(self, executor: Executor) -> list[JobReturn]:
        """Run every job that has no final status yet, and return the result of every job, as Hydra expects it.

        Raises:
            KeyboardInterrupt: The sweep was interrupted; the runs have saved.
        """
        from exp.sweeps.progress import SweepProgress

        done = self._distinct_jobs - len(self._queue)
        if (equal := len(self._jobs) - self._distinct_jobs) and not self._is_search:
            print(f"note: {pluralize(equal, 'job')} equal to another one, which runs once")
        with (
            graceful_stop() as stop_requested,
            SweepProgress(self._distinct_jobs, done, self._config.sweep.metric) as progress,
        ):
            while self._submit_ready(executor):
                is_interrupted = self._collect_finished(progress) or stop_requested()
                if is_interrupted and not self._is_interrupted:
                    self._is_interrupted = self._is_stopping = True
                    executor.interrupt()
                if self._is_stopping:
                    self._cancel_pending()
                progress.show(running=min(len(self._running), max(1, executor.workers)))
            self._print_how_to_resume()
            if self._is_interrupted:
                raise KeyboardInterrupt
        return [self._job_return(job) for job in self._jobs]

    def _submit_ready(self, executor: Executor) -> bool:
        """Submit jobs while the executor can take some. Return whether any job is running."""
        # One more than there are workers: the folder of the next job is prepared while the workers are busy.
        # Not if a failure stops the sweep: that job would already run.
        spare = 0 if executor.workers and self._stops_on_error else 1
        while self._queue and not self._is_stopping and len(self._running) < executor.workers + spare:
            job = self._queue.popleft()
            self._running[executor.submit(self._make_task(job), self._pruning.get(job.number))] = job
        return bool(self._running)

    def _collect_finished(self, progress: "SweepProgress") -> bool:
        """Wait a moment for jobs to end, and record their outcomes. Return whether one was interrupted."""
        ended, _ = wait(self._running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        is_interrupted = False
        for future in ended:
            job, outcome = self._running.pop(future), future.result()
            if outcome.interrupted:
                is_interrupted = True
                self._remove_unstarted(job)
            else:
                progress.add(self._handle_outcome(job, outcome))
                self._is_stopping |= outcome.error is not None and self._stops_on_error
        return is_interrupted

    def _cancel_pending(self) -> None:
        """Cancel the submitted jobs that have not begun."""
        for future in [future for future in self._running if future.cancel()]:
            self._remove_unstarted(self._running.pop(future))

    def _print_how_to_resume(self) -> None:
        if self._is_interrupted:  # otherwise the summary at the end of the sweep writes the table
            sweep_csv.update(self._folder)
            print(f"interrupted and saved; {self._resume_hint()}")
        elif self._is_stopping and self._queue:
            print(f"stopped at the first failure, {len(self._queue)} jobs not started; {self._resume_hint()}")

    def _resume_hint(self) -> str:
        settings = self._config.hydra.overrides
        omitted = ("hydra.mode=", "hydra.sweep.dir=", "sweep.resume=")
        overrides = [item for item in (*settings.hydra, *settings.task) if not item.startswith(omitted)]
        config_dir = config_dir_in(self._config.hydra)
        if not self._is_search:
            overrides.append(f"sweep.resume={self._folder}")
        elif self._config.hydra.sweeper.get("storage") is None:
            return "a search can only be resumed with hydra.sweeper.storage"
        return f"to resume: python -m exp {shlex.join(['-m', *config_dir, *overrides])}"

    def _make_task(self, job: Job) -> Task:
        """Create the job's folder with Hydra's files in it, and return the task to submit."""
        folder = self._folder / self._names[job.key]
        is_begun = (folder / SUMMARY).exists()
        if is_begun:
            with folder_lock(folder, _LOCK_TIMEOUT):
                pass
        task, shared = self._composer.compose_task(job.overrides), self._composer.shared(job.overrides)
        shared.files.write(folder, task, job.overrides, job.number, self._composer.override_dirname(job.overrides))
        log, environment = shared.files.resolve_logging(
            folder, lambda: activate_job_config(self._composer.compose(job.overrides), job.number)
        )
        self._notify_callbacks(job)
        has_figures = len(self._jobs) <= _MAX_JOBS_WITH_FIGURES and not self._is_search
        config = replace(
            job.config,
            figures=has_figures if job.config.figures == "auto" else job.config.figures,
            resume=str(folder) if is_begun else None,
        )
        choices = choices_of(shared.cfg.hydra.runtime.choices)
        spec = RunSpec(config, folder, OmegaConf.to_yaml(task, resolve=True), choices, job.overrides)
        return Task(spec, log, environment)

    def _remove_unstarted(self, job: Job) -> None:
        """Remove the folder of a job that did not begin."""
        folder = self._folder / self._names[job.key]
        if not (folder / SUMMARY).exists():
            shutil.rmtree(folder)

    def _notify_callbacks(self, job: Job, ended: bool = False) -> None:
        """Call the user's Hydra callbacks for a job that begins or has ended. exp's own callback does not need it."""
        if len(self._config.hydra.callbacks) > 1:
            cfg = activate_job_config(self._composer.compose(job.overrides), job.number)
            if ended:
                self._context.callbacks.on_job_end(config=cfg, job_return=self._job_return(job))
            else:
                self._context.callbacks.on_job_start(config=cfg, task_function=self._function)

    def _handle_outcome(self, job: Job, outcome: Outcome) -> sweep_csv.Row:
        """Record the outcome of a job, and return its row of sweep.csv.

        A process that died could not write the failure into summary.json itself, and a resume that fails does not.
        """
        folder = self._folder / self._names[job.key]
        if not (folder / OVERRIDES).exists():
            self._make_task(job)  # sweep.csv has a row per job folder
            summary.write_failure(folder, "its folder was removed while it ran", job.overrides)
        if outcome.error is not None and summary.read(folder).get("status") not in ("failed", "diverged"):
            summary.write_failure(folder, outcome.error, job.overrides)
        row = self._rows[folder.name] = sweep_csv.read_row(folder)
        if time.perf_counter() - self._written_at > _SECONDS_BETWEEN_TABLES:
            self._written_at = time.perf_counter()
            sweep_csv.write(self._folder, self._rows.values())
        self._notify_callbacks(job, ended=True)
        return row

    def _row(self, key: str) -> sweep_csv.Row:
        return self._rows.get(self._names[key], {})

    def _job_return(self, job: Job) -> JobReturn:
        row, metric = self._row(job.key), self._config.sweep.metric
        if self._is_search and row.get("status") == "finished" and metric not in row:
            override = "sweep.metric=loss/val"
            raise ConfigError(
                f"sweep.metric={metric}: the jobs do not have this metric",
                override,
                key="sweep.metric",
                override=override,
            )
        result = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
        result.working_dir = str(self._folder / self._names[job.key])
        result.return_value = sweep_csv.metric_value(row, metric)
        return result
