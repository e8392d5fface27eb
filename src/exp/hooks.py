"""What Hydra calls: before a run or a sweep writes anything, and when it is over."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from exp import record
from exp.config import check, without_hydra
from exp.errors import ConfigError
from exp.limits import LIMITS, example
from exp.sweep import seeds, table

_SEARCH = "hydra_plugins.exp_plugins.OptunaSweeper"
_OUR_LAUNCHER = "hydra_plugins.exp_plugins.ExpLauncher"


class Refused(SystemExit):
    """What was typed is not as it must be. Of this kind because Hydra swallows all others here."""

    def __init__(self, mistake: ConfigError) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


class Hooks(Callback):
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        try:
            folder = _folder("hydra.run.dir", config.hydra.run.dir)
            resume = check(without_hydra(config)).resume
            if resume is not None and Path(resume) != folder.absolute():
                raise ConfigError(
                    f"resume={resume}: it goes on with a run only where it stands on the command line, as it is",
                    f"resume={resume} and no + before it",
                )
            if resume is None and (folder / record.NAME).exists():
                raise ConfigError(
                    f"hydra.run.dir={folder}: it holds a run already, and two would mix",
                    f"resume={folder} to go on with it, or hydra.run.dir=ANOTHER_FOLDER",
                )
        except ConfigError as error:
            raise Refused(error) from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        try:
            folder = _folder("hydra.sweep.dir", config.hydra.sweep.dir)
            for key, (limit, _) in LIMITS.items():  # jobs are made without these
                value = OmegaConf.select(config, key) if key.startswith("sweep.") else None
                if value is not None and not limit.allows(value):
                    raise ConfigError(f"{key} must be {limit}, not {value}", example(key, value))
            if config.sweep.resume is None and (folder / table.NAME).exists():
                raise ConfigError(
                    f"hydra.sweep.dir={folder}: it holds a sweep already, and two would mix",
                    f"sweep.resume={folder} to go on with it, or hydra.sweep.dir=ANOTHER_FOLDER",
                )
        except ConfigError as error:
            raise Refused(error) from error

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """Write sweep.csv anew, where another launcher than ours made the job."""
        if config.hydra.mode == RunMode.MULTIRUN and config.hydra.launcher._target_ != _OUR_LAUNCHER:
            folder = Path(config.hydra.sweep.dir)
            table.write(folder / table.NAME, table.rows(folder).values())

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002
        """Tell what came out. Exit code 1 if a job failed: Hydra would tell of the first alone."""
        from exp.sweep.answer import tell  # late: rich takes 20 ms, and single runs bring these hooks along

        folder = Path(config.hydra.sweep.dir)
        if config.hydra.launcher._target_ != _OUR_LAUNCHER:
            from exp.sweep.comparison import compare  # later yet: torch and matplotlib

            compare(folder, seeds.finished_by_name(list(table.rows(folder).values())))
        if not tell(folder, config.sweep.measure, config.hydra.sweeper._target_ == _SEARCH):
            sys.exit(1)


def _folder(key: str, value: object) -> Path:
    if not value:
        raise ConfigError(f"{key} is empty, and what is written needs a folder", f"{key}=FOLDER")
    return Path(str(value))
