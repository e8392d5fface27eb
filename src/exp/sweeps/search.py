"""run_search: optuna chooses the jobs from the results of earlier ones. `hydra/sweeper=optuna`"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial

from exp.errors import pluralize
from exp.results.run_folder import MULTIRUN, SEARCH_RECORD, config_dir_in
from exp.sweeps.executors.worker_pool import worker_count
from exp.sweeps.search_record import importances, summarize, write_record
from exp.sweeps.search_space import read_space
from exp.sweeps.source import JobSource
from exp.sweeps.study import open_study, read_ended_trials
from exp.sweeps.trials import TrialJobs

if TYPE_CHECKING:
    from hydra_plugins.exp_plugins import ExpLauncher


def run_search(launcher: Launcher, loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> None:
    """Run jobs until the study has `hydra.sweeper.n_trials` ended trials, `sweep.workers` jobs at a time.

    A search with a `storage` continues its study. A run that fails or diverges is a failed trial. Runs are pruned if
    the launcher supports it.

    Raises:
        ConfigError: There is nothing to search, or a setting is invalid.
    """
    space = read_space(OverridesParser.create(config_loader=loader).parse_overrides(list(arguments)))
    settings, metric = config.hydra.sweeper, str(config.sweep.metric)
    n_trials = int(settings.n_trials)
    is_parallel = worker_count(config.sweep.workers, n_trials * len(space.repeats)) > 1
    can_stream = getattr(launcher, "can_stream", False)
    study = open_study(settings, metric, space, config.epochs, is_parallel)
    if not can_stream:
        study.pruner = NopPruner()
    if (ended := len(read_ended_trials(study))) >= n_trials:
        print(f"the study already has {pluralize(ended, 'trial')}; to continue: hydra.sweeper.n_trials={2 * ended}")
        sys.exit(0)
    folder = Path(str(config.hydra.sweep.dir))
    if not can_stream:  # exp's own launcher writes it
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, folder / MULTIRUN)

    def record(trials: Sequence[FrozenTrial], **more: Any) -> None:
        summary = summarize(trials, study.direction, space, metric, config_dir_in(config.hydra))
        write_record(study, folder, replace(summary, **more))

    jobs = TrialJobs(study, space, metric, n_trials, folder, record)
    try:
        if can_stream:
            cast("ExpLauncher", launcher).stream(jobs)
        else:
            _run_in_batches(launcher, jobs, max(1, worker_count(config.sweep.workers, jobs.jobs)))
    finally:
        jobs.close()
        if (folder / SEARCH_RECORD).exists():  # a trial ended
            record(read_ended_trials(study), importances=importances(study))


def _run_in_batches(launcher: Launcher, source: JobSource, size: int) -> None:
    """Run the jobs with a launcher that returns when a whole batch has ended."""
    while batch := list(source.take()):
        while len(batch) < size and (more := source.take()):
            batch += more
        results = launcher.launch([list(job.overrides) for job in batch], batch[0].number)
        for job, result in zip(batch, results, strict=True):
            source.record(job.number, result)
