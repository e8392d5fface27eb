"""launch: compose and validate every job of a sweep, then run the jobs with an executor."""

import gc
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from exp.errors import ConfigError
from exp.results.lock import folder_lock
from exp.results.run_folder import SWEEP_MANIFEST
from exp.sweeps.comparison import compare_jobs
from exp.sweeps.executors._base import Executor
from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.executors.worker_pool import WorkerPool, worker_count
from exp.sweeps.jobs import JobComposer, activate_job_config, compose_jobs
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
    pruning: "Sequence[PruningCallback]" = (),
) -> list[JobReturn]:
    """Run jobs, and return what a Hydra launcher returns. All jobs are validated before the first begins.

    Args:
        context, function, config: What Hydra passes to a launcher's setup().
        overrides: The overrides of each job.
        first: The number of the first job.
        pruning: A callback for each job, or nothing.

    Raises:
        ConfigError: An override, or a setting of the sweep, is invalid.
        KeyboardInterrupt: The sweep was interrupted; the runs have saved.
    """
    if not gc.isenabled():  # switched off during the imports
        gc.freeze()
        gc.enable()
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
            if config.sweep.dry_run:
                print("\n".join(f"{job.number:>4}  {shlex.join(job.overrides)}" for job in jobs))
                sys.exit(0)
        except BaseException:
            _remove_new_files(folder)
            raise
        sweep = Sweep(context, function, config, composer, jobs, pruning)
        results = sweep.run(executor)
        if not sweep.is_search:
            compare_jobs(folder, executor)
        return results


def make_executor(config: DictConfig, jobs: int) -> Executor:
    """Return the executor that `hydra/launcher` and `sweep.workers` choose, for a sweep of so many jobs."""
    if "cluster" in config.hydra.launcher:
        if config.sweep.on_error == "stop":
            raise ConfigError(
                "sweep.on_error=stop: not supported on a cluster, which starts the jobs itself",
                "sweep.on_error=continue",
                key="sweep.on_error",
                override="sweep.on_error=continue",
            )
        from exp.sweeps.executors.cluster import Cluster  # Lazy: it imports submitit.

        return Cluster(cast("dict[str, Any]", OmegaConf.to_container(config.hydra.launcher, resolve=True)), jobs)
    workers = worker_count(config.sweep.workers, jobs)
    return WorkerPool(workers) if workers else InProcess()


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


def _remove_new_files(folder: Path) -> None:
    """Remove what Hydra wrote for a sweep that did not begin."""
    if not (folder / SWEEP_MANIFEST).exists():
        (folder / "multirun.yaml").unlink(missing_ok=True)
        with suppress(OSError):  # the folder is not empty
            for parent in (folder, folder.parent, folder.parent.parent):
                parent.rmdir()


def _run_here(context: HydraContext, function: TaskFunction, cfg: DictConfig, number: int) -> JobReturn:
    """Run a job of another function than exp's in this process, as Hydra's basic launcher does."""
    result = run_job(function, activate_job_config(cfg, number), "hydra.sweep.dir", "hydra.sweep.subdir", context)
    configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
    return result
