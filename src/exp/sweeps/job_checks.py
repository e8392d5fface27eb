"""Compose and validate jobs before they begin, and find the name of each job's folder."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from exp.config.allowlist import HELD_MODULE
from exp.config.cross_validation import refuse_all_folds
from exp.config.schema import Config
from exp.config.tracker_packages import refuse_missing_packages
from exp.data.input_files import check_input_files
from exp.errors import ConfigError
from exp.results.initial import find_initial
from exp.sweeps.jobs import Job, JobComposer, activate_job_config, compose_jobs
from exp.sweeps.manifest import check_job_names
from exp.sweeps.metric import check_metric, note_different_losses
from exp.sweeps.plugins import is_search
from exp.sweeps.source import JobRequest

# Overrides that hold for the whole sweep.
_SETTINGS = ("sweep.", "folds=", "fold_repeats=")


# More jobs are most likely an error.
_MAX_JOBS = 100_000


def check_jobs(requests: Sequence[JobRequest], config: DictConfig, composer: JobComposer) -> list[Job]:
    """Compose and validate the requested jobs of the sweep with the whole config `config`.

    Raises:
        ConfigError: There are no jobs or too many, or an override of a job is invalid.
    """
    lines = [request.overrides for request in requests]
    _check_sweep(lines)
    jobs = compose_jobs(lines, requests[0].number, composer)
    check_metric(jobs, config.sweep.metric, is_search(config))
    if not is_search(config) and (note := note_different_losses(jobs, config.sweep.metric)) is not None:
        print(f"note: {note}")
    for job in jobs:
        check_run(job.config)
    return jobs


def check_run(config: Config) -> None:
    """Raise ConfigError or DataError, with the key, if what a new run reads or imports is not there."""
    refuse_all_folds(config)
    check_input_files(config.dataset)
    refuse_missing_packages(config.tracker)
    if config.model["_target_"] == HELD_MODULE:
        from exp.training.build_model import check_module  # lazy: imports torch

        check_module(config.model)
    if config.init is not None and config.resume is None:
        find_initial(config.init)


def folder_names(jobs: Sequence[Job], config: DictConfig, composer: JobComposer) -> list[str]:
    """Return `hydra.sweep.subdir` of each job. ConfigError if it cannot be the folder of a job."""
    names = [_folder_name(job, config, composer) for job in jobs]
    check_job_names(names)
    return names


def _folder_name(job: Job, config: DictConfig, composer: JobComposer) -> str:
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
    settings = ([override for override in job if override.startswith(_SETTINGS)] for job in overrides)
    for values in zip(*settings, strict=True):
        if len(set(values)) > 1:
            key = values[0].partition("=")[0]
            raise ConfigError(
                f"{key} is a setting of the sweep and cannot vary between its jobs",
                values[0],
                key=key,
                override=values[0],
            )
