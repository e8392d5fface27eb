"""Validate a composed config before the run or sweep writes anything. Each raises ConfigError."""

import shlex
from itertools import count
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from exp.config.compose import without_hydra
from exp.config.constraints import CONSTRAINTS, violation
from exp.config.overrides import text_override
from exp.config.own_metrics import refuse_metric
from exp.config.validation import validate
from exp.errors import ConfigError
from exp.results import summary
from exp.results.run_folder import SWEEP_MANIFEST, find_results, is_sweep
from exp.results.summary import find_results_to_keep
from exp.sweeps.job_checks import check_run
from exp.sweeps.plugins import is_search, uses_cluster, uses_our_launcher
from exp.sweeps.yaml_params import refuse_typed_search_settings


def validate_run(config: DictConfig) -> None:
    folder = _folder("hydra.run.dir", config.hydra.run.dir)
    _check_output_subdir(config)
    if config.sweep.dry_run:
        what = "sweep.dry_run=true needs a sweep (-m)"
        raise ConfigError(what, "--cfg job", key="sweep.dry_run")
    if not is_search(config):
        refuse_typed_search_settings(config)
    run = validate(without_hydra(config))
    check_run(run)
    _refuse_other_folder("resume", run.resume, folder)


def check_run_folder(config: DictConfig) -> None:
    """Raise ConfigError if the folder of a new run contains results."""
    folder = Path(str(config.hydra.run.dir))
    if config.resume is None and (found := find_results_to_keep(folder)) is not None:
        can_resume = found == "a run" and summary.read(folder).get("status") != "diverged"  # it would diverge again
        onward = f"{shlex.quote(text_override('resume', str(folder)))} to resume it, or " if can_resume else ""
        raise ConfigError(
            f"hydra.run.dir={folder}: the folder already contains {found}",
            f"{onward}hydra.run.dir=ANOTHER_FOLDER",
            key="hydra.run.dir",
        )


def validate_sweep(config: DictConfig) -> None:
    folder = _folder("hydra.sweep.dir", config.hydra.sweep.dir)
    _check_output_subdir(config)
    _check_supported_by_launcher(config, folder)
    # Jobs are made without these, or by them.
    for key in (key for key in CONSTRAINTS if key.startswith("sweep.") or key in ("folds", "fold_repeats")):
        limit, value = CONSTRAINTS[key][0], OmegaConf.select(config, key)
        if not limit.accepts(value):
            raise violation(key, value)
    refuse_metric("sweep.metric", config.sweep.metric.rpartition("/")[0], needs_direction=True)


def check_sweep_folder(config: DictConfig) -> None:
    """Raise ConfigError if the folder of a new sweep contains results."""
    folder = Path(str(config.hydra.sweep.dir))
    if config.sweep.resume is None and (found := find_results(folder)) is not None:
        if found == "a sweep" and is_search(config):
            override = text_override("hydra.sweep.dir", str(_find_unused(folder)))
            raise ConfigError(
                f"hydra.sweep.dir={folder}: the folder already contains a sweep, and a search needs a new one",
                shlex.quote(override),
                key="hydra.sweep.dir",
                override=override,
            )
        is_resumable = (folder / SWEEP_MANIFEST).is_file() and is_sweep(folder)
        onward = f"{shlex.quote(text_override('sweep.resume', str(folder)))} to resume it, or " if is_resumable else ""
        raise ConfigError(
            f"hydra.sweep.dir={folder}: the folder already contains {found}",
            f"{onward}hydra.sweep.dir=ANOTHER_FOLDER",
            key="hydra.sweep.dir",
        )


def _check_output_subdir(config: DictConfig) -> None:
    if config.hydra.output_subdir != ".hydra":
        raise ConfigError(
            f"hydra.output_subdir must be .hydra, got {config.hydra.output_subdir}",
            "hydra.output_subdir=.hydra",
            key="hydra.output_subdir",
            override="hydra.output_subdir=.hydra",
        )


def _check_supported_by_launcher(config: DictConfig, folder: Path) -> None:
    """Raise ConfigError for a setting that the chosen launcher or sweeper would ignore."""
    ours, searched = uses_our_launcher(config), is_search(config)
    resume = config.sweep.resume
    if config.sweep.dry_run and (searched or not ours):
        what = "a search chooses its jobs while it runs" if searched else "only exp's own launcher can list jobs"
        raise _unsupported("sweep.dry_run=true", what, "sweep.dry_run=false")
    if config.sweep.on_error == "stop" and (searched or not ours):
        what = "a search continues after failed runs" if searched else "only exp's own launcher can stop"
        raise _unsupported("sweep.on_error=stop", what, "sweep.on_error=continue")
    if config.sweep.on_error == "stop" and uses_cluster(config):
        what = "not supported on a cluster, which starts the jobs itself"
        raise _unsupported("sweep.on_error=stop", what, "sweep.on_error=continue")
    if searched and str(config.sweep.metric).endswith("/test"):
        what = "a search must not choose by the test rows, which would no longer tell how good the model is on new rows"
        name = str(config.sweep.metric).rpartition("/")[0]
        raise _unsupported(f"sweep.metric={config.sweep.metric}", what, f"sweep.metric={name}/val")
    if resume is not None and searched:
        raise ConfigError(
            f"sweep.resume={resume}: a search begins in a new folder, and continues a study by hydra.sweeper.storage",
            "the search without sweep.resume",
            key="sweep.resume",
        )
    _refuse_other_folder("sweep.resume", resume, folder)
    if config.sweep.detach and not ours:
        raise _unsupported("sweep.detach=true", "only exp's own launchers can detach", "sweep.detach=false")
    if ours and config.hydra.job.chdir:
        raise _unsupported("hydra.job.chdir=true", "jobs of a sweep run in the current folder", "hydra.job.chdir=false")


def _refuse_other_folder(key: str, resume: str | None, folder: Path) -> None:
    """Raise ConfigError if the folder to resume is not that of the run or sweep, as exp.cli.resume sets it."""
    if resume is not None and Path(resume) != folder.absolute():
        what = f"{key}={resume}: it must be typed on the command line, without +"
        raise ConfigError(what, f"{key}={resume} without +", key=key)


def _unsupported(override: str, why: str, instead: str) -> ConfigError:
    return ConfigError(f"{override}: {why}", instead, key=override.partition("=")[0], override=instead)


def _folder(key: str, value: object) -> Path:
    if not value:
        raise ConfigError(f"{key} must be a folder, got nothing", f"{key}=FOLDER", key=key)
    return Path(str(value))


def _find_unused(folder: Path) -> Path:
    """Return a folder next to `folder` that does not exist: search-2."""
    return next(path for number in count(2) if not (path := folder.with_name(f"{folder.name}-{number}")).exists())
