"""launch: run the jobs of a source with an executor, as a Hydra launcher."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from exp.config.compose import typed_words
from exp.config.overrides import override_key
from exp.results import sweep_json
from exp.results.atomic import replacement
from exp.results.run_folder import MULTIRUN
from exp.sweeps.comparison import compare_jobs
from exp.sweeps.executors.executor import Executor
from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.executors.worker_pool import WorkerPool, worker_count
from exp.sweeps.jobs import JobComposer, activate_job_config
from exp.sweeps.manifest import refuse_running
from exp.sweeps.plugins import is_search, uses_cluster, uses_ray
from exp.sweeps.source import JobSource
from exp.sweeps.sweep import Sweep
from exp.training.import_gc import end_gc_pause


def launch(
    context: HydraContext,
    function: TaskFunction,
    config: DictConfig,
    source: JobSource,
) -> None:
    """Run the jobs that `source` gives, and record their results there. The command has locked the sweep's folder.

    Args:
        context, function, config: What Hydra passes to a launcher's setup().

    Raises:
        ConfigError: An override, or a setting of the sweep, is invalid.
        KeyboardInterrupt: The sweep was interrupted; the runs have saved.
    """
    end_gc_pause()
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    if not runs_in_workers(function):
        with _saved(config):
            composer = JobComposer(context.config_loader, config)
        for job in source.take():
            source.record(job.number, _run_here(context, function, composer.compose(job.overrides), job.number))
        return
    try:
        with make_executor(config, source.jobs) as executor:
            refuse_running(folder)  # from a machine that does not see this one's locks
            sweep = Sweep(context, function, config, source, executor)
            with _saved(config):
                sweep.prepare()
            sweep.run()
            if not is_search(config) and executor.find_loss() is None:
                compare_jobs(config, executor)
    except BaseException:
        sweep_json.remove_process(folder)
        raise


def runs_in_workers(function: TaskFunction) -> bool:
    """Return whether `function`, which Hydra calls with a config, is exp's own, which workers can run."""
    return bool(getattr(function, "runs_in_workers", False))


def make_executor(config: DictConfig, jobs: int) -> Executor:
    """Return the executor that `hydra/launcher` and `sweep.workers` choose, for a sweep of so many jobs."""
    workers = worker_count(config.sweep.workers, jobs)
    if config.sweep.dry_run and (uses_cluster(config) or uses_ray(config)):
        return InProcess()
    if uses_cluster(config):
        from exp.sweeps.executors.cluster import Cluster  # Lazy: it imports submitit.

        settings = cast("dict[str, Any]", OmegaConf.to_container(config.hydra.launcher, resolve=True))
        return Cluster(
            settings,
            workers if is_search(config) else min(_limit_workers(config) or jobs, jobs, settings["max_queued"]),
        )
    if uses_ray(config):
        from exp.sweeps.executors.ray import RayCluster  # Lazy: it imports Ray.
        from exp.sweeps.executors.ray_connection import read_settings

        return RayCluster(read_settings(config), Path(str(config.hydra.sweep.dir)), _limit_workers(config), jobs)
    return WorkerPool(workers) if workers else InProcess()


def _limit_workers(config: DictConfig) -> int | None:
    """Return the number of jobs that sweep.workers allows at a time on a cluster; None if it is auto or not given.

    A search has its default, one: with several, the trials depend on the order in which they end.
    """
    workers = config.sweep.workers
    is_given = any(override_key(word) == "sweep.workers" for word in typed_words(config.hydra.overrides.task))
    return None if workers == "auto" or not (is_given or is_search(config) or workers != 1) else max(1, int(workers))


@contextmanager
def _saved(config: DictConfig) -> Generator[None]:
    """Write the multirun.yaml of a sweep that has begun when the context exits, at once: without it none has."""
    with replacement(Path(str(config.hydra.sweep.dir)) / MULTIRUN) as temporary:
        OmegaConf.save(config, temporary)
        yield


def _run_here(context: HydraContext, function: TaskFunction, cfg: DictConfig, number: int) -> JobReturn:
    """Run a job of another function than exp's in this process, as Hydra's basic launcher does."""
    result = run_job(function, activate_job_config(cfg, number), "hydra.sweep.dir", "hydra.sweep.subdir", context)
    configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
    return result
