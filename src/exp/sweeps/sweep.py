"""Sweep: run the jobs that a source gives, and print how to resume."""

import shlex
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from exp.errors import ConfigError, DataError, pluralize
from exp.results import sweep_csv
from exp.results.resume_line import NO_STORAGE, describe_resume
from exp.sweeps.check_data import check_data
from exp.sweeps.executors.executor import Executor
from exp.sweeps.import_early import import_for_summary
from exp.sweeps.job_checks import check_jobs, folder_names
from exp.sweeps.job_folders import JobFolders
from exp.sweeps.jobs import Job, JobComposer, Planned, compose_jobs
from exp.sweeps.plugins import is_search
from exp.sweeps.same_data import find_changed_rows, rows_key
from exp.sweeps.source import JobRequest, JobSource
from exp.sweeps.task import Outcome
from exp.training.interrupts import graceful_stop

if TYPE_CHECKING:
    from exp.sweeps.progress import SweepProgress


# figures=auto: with more jobs none has figures of its own, because drawing takes longer than training a small model.
_MAX_JOBS_WITH_FIGURES = 16

# The next job of a search is chosen ahead of time if jobs take less than this on average.
_SHORT_SECONDS = 5.0

# How long to wait for an outcome before signals are checked again.
_POLL_SECONDS = 0.1


class Sweep:
    """The jobs of one sweep and their states. Call `prepare`, then `run`."""

    def __init__(
        self,
        context: HydraContext,
        function: TaskFunction,
        config: DictConfig,
        source: JobSource,
        executor: Executor,
    ) -> None:
        self._config = config
        self._source = source
        self._executor = executor
        self._is_search = is_search(config)
        self._folder = Path(str(config.hydra.sweep.dir))
        self._composer = JobComposer(context.config_loader, config)
        draws_figures = source.jobs <= _MAX_JOBS_WITH_FIGURES and not self._is_search
        self._folders = JobFolders(context, function, config, self._composer, draws_figures)
        self._requests: dict[int, JobRequest] = {}
        self._queue: deque[Job] = deque()
        self._running: dict[Future[Outcome], Job] = {}
        self._equal: dict[str, list[Job]] = {}  # by their key; the first is queued or running, for all of them
        self._checked: set[str] = set()  # keys of rows
        self._done = 0
        self._seconds = 0.0  # of all jobs
        self._stops_on_error = config.sweep.on_error == "stop"
        self._is_stopping = self._is_interrupted = False
        self._loss: ConfigError | None = None  # why the executor cannot run the other jobs

    def prepare(self) -> None:
        """Check the jobs that the source gives at first, or examples of the jobs of a search.

        Raises:
            ConfigError: An override, or a setting of the sweep, is invalid.
            Planned: sweep.dry_run=true has listed the jobs.
        """
        check_data(compose_jobs(self._source.examples, 0, self._composer), self._executor)
        self._add(self._source.take())

    def run(self) -> None:
        """Run every job that has no final status yet, until the source gives no more.

        Raises:
            KeyboardInterrupt: The sweep was interrupted; the runs have saved.
        """
        from exp.sweeps.progress import SweepProgress

        with (
            self._folders.heartbeat(),
            graceful_stop() as stop_requested,
            SweepProgress(self._source.jobs, self._done, self._config.sweep.metric) as progress,
        ):
            try:
                self._run_all(progress, stop_requested)
            except Exception as error:
                self._executor.interrupt()
                if isinstance(error, OSError) or str(getattr(error, "key", "")).startswith("hydra.launcher"):
                    print(f"stopped, and what the jobs saved is kept; {self._resume_hint()}")
                raise  # also an error of the source, such as a job that has no value for it
            self._print_how_to_resume()
            if self._is_interrupted and self._loss is None:
                raise KeyboardInterrupt
        for jobs in self._equal.values() if not self._is_search else ():
            self._report(jobs)  # did not begin

    def _run_all(self, progress: "SweepProgress", stop_requested: Callable[[], bool]) -> None:
        self._submit_ready()
        if self._running and self._executor.workers:
            import_for_summary(self._config.hydra.overrides.task)
        while self._running:
            is_interrupted = self._collect_finished(progress) or stop_requested()
            self._loss = self._loss or self._executor.find_loss()
            if (is_interrupted or self._loss) and not self._is_interrupted:
                self._is_interrupted = self._is_stopping = True
                self._executor.interrupt()
            if self._is_stopping:
                self._cancel_pending()
            progress.show(self._done, self._source.jobs, min(len(self._running), max(1, self._executor.workers)))
            self._submit_ready()

    def _add(self, requests: Sequence[JobRequest]) -> None:
        """Check the requested jobs, and queue those that need to run."""
        try:
            composed = check_jobs(requests, self._config, self._composer)
        except DataError as error:
            raise self._folders.manifest.name_new_place(error) from None
        jobs = self._folders.manifest.with_former_paths(composed)
        is_moved = jobs != composed
        names = folder_names(jobs, self._config, self._composer)
        if self._config.sweep.dry_run:
            print("\n".join(f"{job.number:>4}  {shlex.join(job.overrides)}" for job in jobs))
            raise Planned([job.overrides for job in jobs])
        self._check_rows(jobs, is_moved)
        if not self._is_search:  # whose examples were checked
            check_data((job for job in jobs if self._folders.read_fingerprint(job) is None), self._executor)
        self._folders.manifest.add(jobs, names, self._source.jobs)
        self._requests |= {request.number: request for request in requests}
        ended: list[Job] = []
        for job in jobs:
            if self._folders.has_ended(job):
                ended.append(job)
            elif job.key in self._equal:
                self._equal[job.key].append(job)
            else:
                self._equal[job.key] = [job]
                self._queue.append(job)
        if (equal := len(jobs) - len({job.key for job in jobs})) and not self._is_search:
            print(f"note: {pluralize(equal, 'job')} equal to another one, which runs once")
        self._report(ended)

    def _check_rows(self, jobs: Sequence[Job], is_moved: bool) -> None:
        """Raise ConfigError if the rows of a job are not those that an earlier job was trained on.

        If the data file moved, jobs of other seeds were trained on the same rows.
        """
        new = {key: job for job in jobs if (key := rows_key(job)) not in self._checked}
        self._checked |= new.keys()
        recorded = dict(self._source.rows)
        for job in jobs:
            if (key := rows_key(job)) in new and (rows := self._folders.read_fingerprint(job)):
                recorded[key] = rows
        if is_moved and len(known := self._folders.read_fingerprints()) == 1:
            recorded = dict.fromkeys(new, *known) | recorded
        if (change := find_changed_rows(new, recorded, self._executor)) is None:
            return
        if self._is_search:
            raise ConfigError(
                f"cannot continue the study {self._config.hydra.sweeper.study_name}: {change}",
                "another study: hydra.sweeper.study_name=NAME, or the original rows",
            )
        raise ConfigError(
            f"cannot resume the sweep in {self._folder}: {change}",
            "a new sweep, without sweep.resume, or the original rows",
            key="sweep.resume",
        )

    def _report(self, jobs: Sequence[Job]) -> None:
        """Pass the results of the jobs to the source."""
        for job in jobs:
            self._done += 1
            if (key := rows_key(job)) not in self._source.rows and (rows := self._folders.read_fingerprint(job)):
                self._source.rows[key] = rows
            self._source.record(job.number, self._folders.job_return(job))

    def _submit_ready(self) -> None:
        """Submit jobs while the executor can take some."""
        # One more than there are workers: the folder of the next job is prepared while the workers are busy.
        is_ahead = self._executor.has_queue and self._may_submit_ahead()
        limit = self._executor.workers + 1 if is_ahead else max(1, self._executor.workers)
        while not self._is_stopping and len(self._running) < limit and self._has_queued():
            job = self._queue.popleft()
            should_prune = self._requests[job.number].should_prune
            running = self._executor.find_running(self._folders.path(job))
            self._running[running or self._executor.submit(self._folders.make_task(job), should_prune)] = job

    def _may_submit_ahead(self) -> bool:
        """Return whether a job may be submitted before a worker is free for it.

        It may not if a failure stops the sweep, because that job would already run. A search chooses it without the
        results of the jobs that run, which is worth it if they are short, and several run at a time anyway.
        """
        if self._is_search:
            is_short = self._done > 0 and self._seconds / self._done < _SHORT_SECONDS
            return is_short and self._executor.workers > 1
        return not self._stops_on_error

    def _has_queued(self) -> bool:
        """Return whether a job is queued, after the source was asked for more."""
        while not self._queue and (requests := self._source.take()):
            self._add(requests)
        return bool(self._queue)

    def _collect_finished(self, progress: "SweepProgress") -> bool:
        """Wait a moment for jobs to end, and record their outcomes. Return whether one was interrupted."""
        ended, _ = wait(self._running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        is_interrupted = False
        for future in ended:
            job, outcome = self._running.pop(future), future.result()
            if outcome.interrupted:
                is_interrupted = True
                self._folders.remove_unstarted(job)
            else:
                row = self._folders.record(job, outcome)
                self._seconds += float(row["seconds"] or 0)
                left = 0 if self._is_search else self._source.jobs - self._done  # trials depend on the workers
                progress.add(row, self._executor.find_slowdown(self._folders.path(job), left))
                self._report(self._equal.pop(job.key))
                self._is_stopping |= outcome.error is not None and self._stops_on_error
        return is_interrupted

    def _cancel_pending(self) -> None:
        """Cancel the submitted jobs that have not begun."""
        for future in [future for future in self._running if future.cancel()]:
            self._folders.remove_unstarted(self._running.pop(future))

    def _print_how_to_resume(self) -> None:
        if self._loss is not None and self._done < self._source.jobs:
            print(f"{self._loss.problem}; what the jobs saved is kept; {self._resume_hint()}")
        elif self._is_interrupted:  # otherwise the summary at the end of the sweep writes the table
            sweep_csv.update(self._folder)
            print(f"interrupted and saved; {self._resume_hint()}")
        elif self._is_stopping and self._queue:
            print(f"stopped at the first failure; jobs not started: {len(self._queue)}; {self._resume_hint()}")

    def _resume_hint(self) -> str:
        resume = describe_resume(self._folder)
        return resume if resume == NO_STORAGE else f"to resume: {resume}"
