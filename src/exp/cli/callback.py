"""What Hydra calls: before a run or a sweep writes anything, and when it is over."""

import sys
import traceback
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from exp.config.constraints import CONSTRAINTS, violation
from exp.config.schema import validate, without_hydra
from exp.errors import ConfigError
from exp.results import seeds, sweep_csv
from exp.results import summary as record
from exp.results.run_folder import SWEEP_MANIFEST
from exp.sweeps.task import Comparison

_SEARCH = "hydra_plugins.exp_plugins.OptunaSweeper"


_OUR_LAUNCHER = "hydra_plugins.exp_plugins.ExpLauncher"


class InvalidCommand(SystemExit):
    """What was typed is not as it must be. Of this kind because Hydra swallows all others here."""

    def __init__(self, mistake: ConfigError) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


class ExpCallback(Callback):
    folder: ClassVar[Path]  # of this process's latest run or sweep
    _previous_files: ClassVar[dict[Path, bytes]] = {}

    @classmethod
    def restore_run_folder(cls) -> None:
        """Undo what Hydra wrote down of a run that was to go on and could not even begin to: it is as it was."""
        summary = cls.folder / record.NAME
        if summary in cls._previous_files and summary.read_bytes() == cls._previous_files[summary]:
            for path, content in cls._previous_files.items():
                path.write_bytes(content)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        try:
            folder = ExpCallback.folder = _folder("hydra.run.dir", config.hydra.run.dir)
            _check_output_subdir(config)
            if config.sweep.dry_run:
                raise ConfigError(
                    "sweep.dry_run=true lists the jobs of a sweep, and this is one run",
                    "--cfg job",
                    key="sweep.dry_run",
                )
            resume = validate(without_hydra(config)).resume
            paths = [folder / record.NAME, *(folder / ".hydra").glob("*.yaml")] if resume is not None else []
            ExpCallback._previous_files = {path: path.read_bytes() for path in paths if path.exists()}
            if resume is not None and Path(resume) != folder.absolute():
                raise ConfigError(
                    f"resume={resume}: it goes on with a run only where it stands on the command line, as it is",
                    f"resume={resume} and no + before it",
                    key="resume",
                )
            if resume is None and (folder / record.NAME).exists():
                raise ConfigError(
                    f"hydra.run.dir={folder}: it holds a run already, and two would mix",
                    f"resume={folder} to go on with it, or hydra.run.dir=ANOTHER_FOLDER",
                    key="hydra.run.dir",
                )
        except ConfigError as error:
            raise InvalidCommand(error) from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        try:
            folder = ExpCallback.folder = _folder("hydra.sweep.dir", config.hydra.sweep.dir)
            _check_output_subdir(config)
            _check_supported_by_launcher(config, folder)
            for key in (key for key in CONSTRAINTS if key.startswith("sweep.")):  # jobs are made without these
                limit, value = CONSTRAINTS[key][0], OmegaConf.select(config, key)
                if not limit.accepts(value):
                    raise violation(key, value)
            if config.sweep.resume is None and (
                (folder / sweep_csv.NAME).exists() or (folder / SWEEP_MANIFEST).exists()
            ):
                onward = "" if _is_search(config) else f"sweep.resume={folder} to go on with it, or "
                raise ConfigError(
                    f"hydra.sweep.dir={folder}: it holds a sweep already, and two would mix",
                    f"{onward}hydra.sweep.dir=ANOTHER_FOLDER",
                    key="hydra.sweep.dir",
                )
        except ConfigError as error:
            raise InvalidCommand(error) from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """Write sweep.csv anew, where another launcher than ours made the job."""
        if config.hydra.mode == RunMode.MULTIRUN and not _is_ours(config):
            folder = Path(config.hydra.sweep.dir)
            sweep_csv.write(folder / sweep_csv.NAME, sweep_csv.read_rows(folder).values())

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Tell what came out. Exit code 1 if a job failed: Hydra would tell of the first alone."""
        from exp.reports import sweep_report
        from exp.reports.sweep_summary import print_summary

        folder = Path(config.hydra.sweep.dir)
        searched = _is_search(config)
        try:
            rows = list(sweep_csv.read_rows(folder).values())
            if not _is_ours(config) and not searched:
                compared = Comparison(folder, seeds.finished_by_name(rows)).run()
                if compared.error is not None:
                    print(f"the jobs could not be compared: {compared.error}")
            try:
                sweep_report.write_page(folder, rows)
            except OSError as error:
                print(f"the sweep's page could not be written: {error}")
            all_well = print_summary(folder, rows, config.sweep.metric, searched)
        except Exception:  # of which Hydra would make a warning, and exit code 0
            traceback.print_exc()
            sys.exit(1)
        if not all_well:
            sys.exit(1)


def _is_search(config: DictConfig) -> bool:
    return config.hydra.sweeper._target_ == _SEARCH


def _is_ours(config: DictConfig) -> bool:
    """Whether our own launcher makes the jobs."""
    return config.hydra.launcher._target_ == _OUR_LAUNCHER


def _check_output_subdir(config: DictConfig) -> None:
    if config.hydra.output_subdir != ".hydra":
        raise ConfigError(
            f"hydra.output_subdir={config.hydra.output_subdir}: what a run goes on by is looked for in .hydra",
            "hydra.output_subdir=.hydra",
            key="hydra.output_subdir",
            override="hydra.output_subdir=.hydra",
        )


def _check_supported_by_launcher(config: DictConfig, folder: Path) -> None:
    """What another launcher or sweeper than ours, or ours, would take no notice of."""
    ours, searched = _is_ours(config), _is_search(config)
    resume = config.sweep.resume
    if config.sweep.dry_run and (searched or not ours):
        what = "a search chooses its jobs as it goes" if searched else "only exp's own launcher lists jobs"
        raise _unsupported("sweep.dry_run=true", what, "sweep.dry_run=false")
    if config.sweep.on_error == "stop" and (searched or not ours):
        what = "a search goes on past runs that fail" if searched else "another launcher begins jobs when it likes"
        raise _unsupported("sweep.on_error=stop", what, "sweep.on_error=continue")
    if resume is not None and searched:
        raise _unsupported(f"sweep.resume={resume}", "a search goes on by its study", "hydra.sweeper.storage=study.log")
    if resume is not None and Path(resume) != folder.absolute():
        raise ConfigError(
            f"sweep.resume={resume}: it goes on with a sweep only where it stands on the command line, as it is",
            f"sweep.resume={resume} and no + before it",
            key="sweep.resume",
        )
    if ours and config.hydra.job.chdir:
        raise _unsupported("hydra.job.chdir=true", "the jobs of a sweep run where you are", "hydra.job.chdir=false")


def _unsupported(override: str, why: str, instead: str) -> ConfigError:
    return ConfigError(f"{override}: {why}", instead, key=override.partition("=")[0], override=instead)


def _folder(key: str, value: object) -> Path:
    if not value:
        raise ConfigError(f"{key} is empty, and what is written needs a folder", f"{key}=FOLDER", key=key)
    return Path(str(value))
