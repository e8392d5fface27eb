"""One sweep, from top to bottom: every job composed and checked, made by worker processes, and told of."""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from exp import record
from exp.claim import claimed
from exp.config import choices_of
from exp.errors import ConfigError
from exp.resuming import SWEEP
from exp.signals import signals
from exp.sweep import seeds, table
from exp.sweep.jobs import Composer, Job, at_work, jobs_of
from exp.sweep.manifest import Manifest
from exp.sweep.pool import Here, Pool, never, workers_of
from exp.sweep.task import INTERRUPTED, Comparison, Outcome, Task

if TYPE_CHECKING:
    from exp.events import Judge

# That which has all jobs made at once.
_OUR_SWEEPER = "hydra_plugins.exp_plugins.ExpSweeper"
# How config.yaml names a job's folder.
_BY_NUMBER = "${hydra.job.num}"
# What needs no going on with.
_ENDED = ("finished", "diverged", "pruned")
# A sweep of more jobs than this draws no pictures of each unless asked to: that takes longer than a small net trains.
_FEW = 16
_SECONDS_BETWEEN_TABLES = 1.0
# How long to wait for the worker of a killed sweep to save and let go of its job.
_SECONDS_FOR_ANOTHER = 20.0


def launch(
    context: HydraContext,
    function: TaskFunction,
    config: DictConfig,
    words: Sequence[Sequence[str]],
    first: int,
    judges: "Sequence[Judge]" = (),
) -> list[JobReturn]:
    """Make the jobs that `words` are the overrides of, numbered from `first`; what a Hydra launcher returns.

    With `judges`, one for each, those end early that have no hope. Raises what is wrong with a job before any begins.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    composed = Composer(context.config_loader, config)
    if not getattr(function, "runs_in_workers", False):
        return [_here(context, function, composed(line), number) for number, line in enumerate(words, first)]
    if not words:
        raise ConfigError("the sweep has no job: one of its keys is given no value", "KEY=VALUE,VALUE")
    workers = workers_of(config.sweep.workers, len(words))
    with claimed(folder), Pool(workers) if workers else Here() as pool:
        try:
            jobs = jobs_of(words, first, composed)
            if config.sweep.dry_run:
                print("\n".join(f"{job.number:>4}  {shlex.join(job.words)}" for job in jobs))
                sys.exit(0)
        except BaseException:
            _leave_nothing(folder)
            raise
        return Sweep(context, function, config, composed, jobs, judges).made(pool)


def _leave_nothing(folder: Path) -> None:
    """Take away what Hydra wrote for a sweep that never began."""
    if not (folder / SWEEP).exists():
        (folder / "multirun.yaml").unlink(missing_ok=True)
        with suppress(OSError):  # something else is in it
            for empty in (folder, folder.parent, folder.parent.parent):
                empty.rmdir()


def _here(context: HydraContext, function: TaskFunction, cfg: DictConfig, number: int) -> JobReturn:
    """A job of another function than exp's, made in this process as Hydra's own launcher would."""
    done = run_job(function, at_work(cfg, number), "hydra.sweep.dir", "hydra.sweep.subdir", context)
    configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
    return done


class Sweep:
    """The jobs of one sweep, and what has become of them."""

    def __init__(
        self,
        context: HydraContext,
        function: TaskFunction,
        config: DictConfig,
        composed: Composer,
        jobs: Sequence[Job],
        judges: "Sequence[Judge]",
    ) -> None:
        self._judges = dict(zip((job.number for job in jobs), judges, strict=False))
        self._context = context
        self._function = function
        self._config = config
        self._composed = composed
        self._jobs = jobs
        self._folder = Path(str(config.hydra.sweep.dir))
        manifest = Manifest(self._folder)
        if manifest.folders and config.sweep.resume is None and jobs[0].number == 0:
            raise ConfigError(
                f"{self._folder} holds a sweep already, and two would mix",
                f"sweep.resume={self._folder} to go on with it, or hydra.sweep.dir=ANOTHER_FOLDER",
            )
        self._names = manifest.add(jobs, [self._name(job) for job in jobs])
        self._rows = table.rows(self._folder)
        self._wrote = time.perf_counter()

    def made(self, pool: Pool | Here) -> list[JobReturn]:
        """Make every job that has not come to its end; what Hydra wants to know of all of them."""
        from exp.sweep.progress import SweepProgress  # late: a mistake in a job needs no rich

        left = [job for job in self._jobs if self._rows.get(self._names[job.key], {}).get("status") not in _ENDED]
        coming = iter(left)
        waiting: dict[Future[Outcome], Job] = {}
        interrupted = stopped = False
        with (
            signals() as asked_to_stop,
            SweepProgress(len(self._jobs), len(self._jobs) - len(left), self._config.sweep.measure) as progress,
        ):
            while True:
                # One more than there are workers: the next job's folder is made while its worker is at another yet.
                most = pool.workers if pool.workers and self._config.sweep.on_error == "stop" else pool.workers + 1
                while not stopped and len(waiting) < most and (job := next(coming, None)) is not None:
                    waiting[pool.submit(self._prepared(job), self._judges.get(job.number, never))] = job
                if not waiting:
                    break
                ended, _ = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in ended:
                    job, outcome = waiting.pop(future), future.result()
                    if outcome.error == INTERRUPTED:
                        interrupted = True
                    else:
                        progress.ended(self._told(job, outcome))
                        stopped = stopped or (outcome.error is not None and self._config.sweep.on_error == "stop")
                if asked_to_stop() and not interrupted:
                    pool.interrupt()
                    interrupted = True
                if stopped := stopped or interrupted:
                    for future in [future for future in waiting if future.cancel()]:
                        shutil.rmtree(self._folder / self._names[waiting.pop(future).key])
                progress.show(running=min(len(waiting), max(1, pool.workers)))
            if interrupted:  # else the whole table is told, and written, when all is over
                table.write(self._folder / table.NAME, table.rows(self._folder).values())
                print(f"interrupted, and saved; to go on: {self._line()}")
                raise KeyboardInterrupt
            if stopped and (more := sum(1 for _ in coming)):
                print(f"stopped at the first failure, with {more} jobs not begun; to go on: {self._line()}")
        if self._config.hydra.sweeper._target_ != _OUR_SWEEPER:
            return [self._returned(job) for job in self._jobs]  # there are more to come
        compared = pool.submit(Comparison(self._folder, seeds.finished_by_name(list(self._rows.values())))).result()
        if compared.error is not None:
            print(f"the jobs could not be compared: {compared.error}")
        return [self._returned(job) for job in self._jobs]

    def _line(self) -> str:
        """What to type for the rest of the jobs."""
        settings = self._config.hydra.overrides
        left_out = ("hydra.mode=", "hydra.sweep.dir=", "sweep.resume=")
        words = [word for word in (*settings.hydra, *settings.task) if not word.startswith(left_out)]
        sources = self._config.hydra.runtime.config_sources
        search = [word for one in sources if one.provider == "command-line" for word in ("--config-dir", one.path)]
        return f"python -m exp {shlex.join(['-m', *search, *words, f'sweep.resume={self._folder}'])}"

    def _name(self, job: Job) -> str:
        """The folder that the job gets in a sweep of its own."""
        settings = cast("dict[str, str]", OmegaConf.to_container(self._config.hydra.sweep))
        if settings["subdir"] == _BY_NUMBER:
            return str(job.number)
        return str(at_work(self._composed(job.words), job.number).hydra.sweep.subdir)

    def _prepared(self, job: Job) -> Task:
        """The job's folder, with Hydra's files in it, and what a worker needs to know."""
        folder = self._folder / self._names[job.key]
        begun = (folder / record.NAME).exists()
        if begun:
            with claimed(folder, _SECONDS_FOR_ANOTHER):
                pass
        task, base = self._composed.task(job.words), self._composed.base(job.words)
        base.notes.write(folder, task, job.words, job.number, self._composed.name(job.words))
        log, environment = base.notes.live(folder)
        self._tell_callbacks_of(job)
        figures = len(self._jobs) <= _FEW if job.config.figures == "auto" else job.config.figures
        return Task(
            config=replace(job.config, figures=figures, resume=str(folder) if begun else None),
            folder=folder,
            text=OmegaConf.to_yaml(task, resolve=True),
            choices=choices_of(base.cfg.hydra.runtime.choices),
            words=job.words,
            logging=log,
            environment=environment,
            judged=job.number in self._judges,
        )

    def _tell_callbacks_of(self, job: Job, done: JobReturn | None = None) -> None:
        """Tell Hydra's callbacks that the job begins or ended, if there are others than ours, which does not listen."""
        if len(self._config.hydra.callbacks) > 1:
            cfg = at_work(self._composed(job.words), job.number)
            if done is None:
                self._context.callbacks.on_job_start(config=cfg, task_function=self._function)
            else:
                self._context.callbacks.on_job_end(config=cfg, job_return=done)

    def _told(self, job: Job, outcome: Outcome) -> table.Row:
        """The job's row, taken into the sweep's table; a process that died could not say itself that it failed."""
        folder = self._folder / self._names[job.key]
        if outcome.error is not None and record.read(folder).get("status") in (None, "running"):
            record.write_failure(folder, outcome.error, job.words)
        row = self._rows[folder.name] = table.row(folder)
        if time.perf_counter() - self._wrote > _SECONDS_BETWEEN_TABLES:
            self._wrote = time.perf_counter()
            table.write(self._folder / table.NAME, self._rows.values())
        self._tell_callbacks_of(job, self._returned(job))
        return row

    def _returned(self, job: Job) -> JobReturn:
        row, measure = self._rows.get(self._names[job.key], {}), self._config.sweep.measure
        searched = self._config.hydra.sweeper._target_ != _OUR_SWEEPER
        if searched and row.get("status") == "finished" and measure not in row:
            raise ConfigError(f"sweep.measure={measure}: the jobs have none", "sweep.measure=loss/val")
        done = JobReturn(overrides=job.words, status=JobStatus.COMPLETED)
        done.return_value = table.value(row, measure)
        return done
