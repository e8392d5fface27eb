"""launch: compose and validate every job of a sweep, then run the jobs with an executor."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from exp.data.input_files import check_input_files
from exp.errors import ConfigError
from exp.results.initial import find_initial
from exp.results.lock import folder_lock
from exp.results.run_folder import MULTIRUN, SWEEP_MANIFEST
from exp.sweeps.comparison import compare_jobs
from exp.sweeps.executors._base import Executor
from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.executors.worker_pool import WorkerPool, worker_count
from exp.sweeps.import_gc import end_gc_pause
from exp.sweeps.jobs import Job, JobComposer, activate_job_config, compose_jobs
from exp.sweeps.manifest import Manifest, check_job_names
from exp.sweeps.metric import check_metric
from exp.sweeps.plugins import is_search, uses_cluster
from exp.sweeps.same_data import check_same_data
from exp.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from exp.training.events import PruningCallback


# More jobs are most likely an error.
_MAX_JOBS = 100_000


def launch(
    context: HydraContext,
    function: TaskFunction,
    config: DictConfig,
    overrides: Sequence[Sequence[str]],
    first: int,
    pruning: "Sequence[PruningCallback]",
    new_paths: Sequence[Path],
) -> list[JobReturn]:
    """Run jobs, and return what a Hydra launcher returns. All jobs are validated before the first begins.

    Args:
        context, function, config: What Hydra passes to a launcher's setup().
        overrides: The overrides of each job.
        first: The number of the first job.
        pruning: A callback for each job, or nothing.
        new_paths: What the command has created for the sweep. It is removed if the sweep does not begin.

    Raises:
        ConfigError: An override, or a setting of the sweep, is invalid.
        KeyboardInterrupt: The sweep was interrupted; the runs have saved.
    """
    end_gc_pause()
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    composer = JobComposer(context.config_loader, config)
    if not getattr(function, "runs_in_workers", False):
        return [
            _run_here(context, function, composer.compose(line), number) for number, line in enumerate(overrides, first)
        ]
    with folder_lock(folder), make_executor(config, len(overrides)) as executor:
        try:
            _check_sweep(overrides)
            jobs = compose_jobs(overrides, first, composer)
            check_metric(jobs, config.sweep.metric)
            for job in jobs:
                check_input_files(job.config.dataset)
                if job.config.init is not None:
                    find_initial(job.config.init)
            names = [_folder_name(job, config, composer) for job in jobs]
            check_job_names(names)
            if config.sweep.dry_run:
                print("\n".join(f"{job.number:>4}  {shlex.join(job.overrides)}" for job in jobs))
                sys.exit(0)
            if not is_search(config):  # a search is resumed through its study
                check_same_data(folder, Manifest(folder).folders, jobs, executor)
        except BaseException:
            if not (folder / SWEEP_MANIFEST).exists():  # nothing has begun
                _remove(new_paths)
            raise
        results = Sweep(context, function, config, composer, jobs, names, pruning).run(executor)
        if not is_search(config):
            compare_jobs(folder, executor)
        return results


def make_executor(config: DictConfig, jobs: int) -> Executor:
    """Return the executor that `hydra/launcher` and `sweep.workers` choose, for a sweep of so many jobs."""
    if uses_cluster(config):
        from exp.sweeps.executors.cluster import Cluster  # Lazy: it imports submitit.

        return Cluster(cast("dict[str, Any]", OmegaConf.to_container(config.hydra.launcher, resolve=True)), jobs)
    workers = worker_count(config.sweep.workers, jobs)
    return WorkerPool(workers) if workers else InProcess()


def _folder_name(job: Job, config: DictConfig, composer: JobComposer) -> str:
    """Return `hydra.sweep.subdir` of the job."""
    if OmegaConf.to_container(config.hydra.sweep)["subdir"] == "${hydra.job.num}":  # pyright: ignore
        return str(job.number)
    return str(activate_job_config(composer.compose(job.overrides), job.number).hydra.sweep.subdir)


def _check_sweep(overrides: Sequence[Sequence[str]]) -> None:
    if not overrides:
        raise ConfigError("the sweep has no jobs, because a key has no values", "KEY=VALUE,VALUE")
    if len(overrides) > _MAX_JOBS:
        raise ConfigError(
            f"the sweep has {len(overrides):,} jobs (at most {_MAX_JOBS:,})",
            "fewer values, or several sweeps",
        )
    settings = ([override for override in job if override.startswith("sweep.")] for job in overrides)
    for values in zip(*settings, strict=True):
        if len(set(values)) > 1:
            key = values[0].partition("=")[0]
            raise ConfigError(
                f"{key} is a setting of the sweep and cannot vary between its jobs",
                values[0],
                key=key,
                override=values[0],
            )


def missing_paths(config: DictConfig) -> list[Path]:
    """Return what Hydra is about to create for a sweep: its multirun.yaml, its folder, and the folders around it."""
    folder = Path(str(config.hydra.sweep.dir))
    return [path for path in (folder / MULTIRUN, folder, *folder.parents) if not path.exists()]


def _remove(paths: Sequence[Path]) -> None:
    """Remove the files, and the folders that are empty."""
    with suppress(OSError):  # a folder is not empty
        for path in paths:
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def _run_here(context: HydraContext, function: TaskFunction, cfg: DictConfig, number: int) -> JobReturn:
    """Run a job of another function than exp's in this process, as Hydra's basic launcher does."""
    result = run_job(function, activate_job_config(cfg, number), "hydra.sweep.dir", "hydra.sweep.subdir", context)
    configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
    return result
