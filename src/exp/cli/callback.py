"""The callback that Hydra calls before a run or a sweep writes anything, and at its end."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from exp.cli.detach import Detach, take_folder
from exp.cli.finish import finish_job, finish_sweep
from exp.cli.folder import lock_until_end
from exp.cli.validation import check_run_folder, check_sweep_folder, validate_run, validate_sweep
from exp.errors import ExpError
from exp.sweeps.folds import set_sweep_metric


class Abort(BaseException):
    """Carries an error through Hydra, which swallows exceptions of callbacks and prints a line before those of jobs."""

    def __init__(self, error: Exception, folder: Path | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.folder = folder  # of the run that failed


class ExpCallback(Callback):
    """Validates the composed config before anything is written, and sums up a sweep."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        _validate(validate_run, config)
        _lock(check_run_folder, config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # as above
        is_detached = take_folder(config)
        _validate(validate_sweep, config)
        set_sweep_metric(config)
        if config.sweep.detach and not is_detached and not config.sweep.dry_run:
            with _aborting():
                check_sweep_folder(config)
            raise Detach(Path(str(config.hydra.sweep.dir)))
        _lock(check_sweep_folder, config, "hydra.sweep.dir")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002  # as above
        if config.hydra.mode == RunMode.MULTIRUN:
            finish_job(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # as above
        finish_sweep(config)


def output_folder() -> Path | None:
    """Return the folder of this process's latest run or sweep."""
    if not HydraConfig.initialized():
        return None
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir if hydra.mode == RunMode.MULTIRUN else hydra.run.dir)


def _validate(validate: Callable[[DictConfig], None], config: DictConfig) -> None:
    HydraConfig.instance().set_config(config)  # where `output_folder` finds it
    OmegaConf.set_readonly(config.hydra, None)  # Hydra writes more into it
    with _aborting():
        validate(config)


def _lock(check: Callable[[DictConfig], None], config: DictConfig, key: str) -> None:
    """Lock the folder of the run or sweep, and check, now that no other process writes there, what it contains."""
    with _aborting():
        lock_until_end(Path(str(OmegaConf.select(config, key))), f"{key}=ANOTHER_FOLDER")
        check(config)


@contextmanager
def _aborting() -> Generator[None]:
    try:
        yield
    except (ExpError, OSError) as error:
        raise Abort(error) from error
