"""Where Hydra looks for launchers and sweepers. It imports this whenever exp starts, so nothing slow stands here."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ExpLauncher(Launcher):
    """`hydra/launcher=exp`, the default: a sweep's jobs in warm worker processes."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._function, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from exp.sweep.launch import launch

        return launch(self._context, self._function, self._config, job_overrides, initial_job_idx)


class ExpSweeper(BasicSweeper):
    """`hydra/sweeper=exp`, the default: Hydra's own, but that it leaves it to our launcher to compose the jobs."""

    def __init__(self, max_batch_size: int | None = None) -> None:
        super().__init__(max_batch_size)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        if not isinstance(self.launcher, ExpLauncher):
            super().validate_batch_is_legal(batch)


@dataclass
class ExpLauncherConf:
    _target_: str = "hydra_plugins.exp_plugins.ExpLauncher"


@dataclass
class ExpSweeperConf:
    _target_: str = "hydra_plugins.exp_plugins.ExpSweeper"
    max_batch_size: int | None = None


ConfigStore.instance().store("exp", ExpLauncherConf, group="hydra/launcher", provider="exp")
ConfigStore.instance().store("exp", ExpSweeperConf, group="hydra/sweeper", provider="exp")
