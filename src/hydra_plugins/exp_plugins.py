"""Where Hydra looks for launchers and sweepers. It imports this whenever exp starts, so nothing slow stands here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from exp.events import Judge


class ExpLauncher(Launcher):
    """`hydra/launcher=exp`, the default: a sweep's jobs in warm worker processes."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._function, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, judges: "Sequence[Judge]" = ()
    ) -> Sequence[JobReturn]:
        """As every launcher; and with a judge for each job, those end early that it has no hope for."""
        from exp.sweep.launch import launch

        return launch(self._context, self._function, self._config, job_overrides, initial_job_idx, judges)


class ExpSweeper(BasicSweeper):
    """`hydra/sweeper=exp`, the default: Hydra's own, but that it leaves it to our launcher to compose the jobs."""

    def __init__(self) -> None:
        super().__init__(max_batch_size=None)  # every job is checked before the first begins

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        if not isinstance(self.launcher, ExpLauncher):
            super().validate_batch_is_legal(batch)


class OptunaSweeper(Sweeper):
    """`hydra/sweeper=optuna`: optuna chooses the jobs. pip install 'exp[search]'"""

    def __init__(
        self, n_trials: int, sampler: str, pruner: str, seed: int, storage: str | None, study_name: str
    ) -> None:
        del n_trials, sampler, pruner, seed, storage, study_name  # they are in the config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from exp.sweep.search import search

        search(self._launcher, self._context.config_loader, self._config, arguments)


@dataclass
class ExpLauncherConf:
    _target_: str = "hydra_plugins.exp_plugins.ExpLauncher"


@dataclass
class ExpSweeperConf:
    _target_: str = "hydra_plugins.exp_plugins.ExpSweeper"


ConfigStore.instance().store("exp", ExpLauncherConf, group="hydra/launcher", provider="exp")


@dataclass
class OptunaSweeperConf:
    _target_: str = "hydra_plugins.exp_plugins.OptunaSweeper"
    n_trials: int = 20  # in the study altogether
    sampler: str = "tpe"  # or random
    pruner: str = "median"  # or hyperband, none: which runs end early, by the measure on the validation rows
    seed: int = 0  # of the sampler
    storage: str | None = None  # a file, or sqlite:///study.db: started again, the search goes on
    study_name: str = "exp"


ConfigStore.instance().store("optuna", OptunaSweeperConf, group="hydra/sweeper", provider="exp")
ConfigStore.instance().store("exp", ExpSweeperConf, group="hydra/sweeper", provider="exp")
