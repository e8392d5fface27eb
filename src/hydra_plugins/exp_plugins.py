"""exp's launchers and sweepers, the schema, and options without a file, found by Hydra.

Hydra imports this module at every start: import nothing slow.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig

from exp.config.allowlist import HELD_MODULE, READ_BY_EXP
from exp.config.schema import OWN_TARGET, Config
from exp.errors import require_extra

if TYPE_CHECKING:
    from exp.sweeps.source import JobSource


class ExpLauncher(Launcher):
    """`hydra/launcher=exp`, the default: runs jobs in worker processes; `submitit_slurm`, `ray`: on a cluster."""

    def __init__(self, **settings: Any) -> None:
        del settings  # read from the config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from exp.sweeps.launcher import runs_in_workers

        self._context, self._function, self._config = hydra_context, task_function, config
        self.can_stream = runs_in_workers(task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from exp.sweeps.source import JobList

        jobs = JobList(job_overrides, initial_job_idx)
        self.stream(jobs)
        return jobs.results

    def stream(self, source: "JobSource") -> None:
        """Run the jobs that `source` gives while others run. A source that decides by results needs `can_stream`."""
        from exp.sweeps.launcher import launch
        from exp.sweeps.plugins import uses_cluster, uses_ray

        if uses_cluster(self._config):
            with require_extra("submitit", f"hydra/launcher=submitit_{self._config.hydra.launcher.cluster}", "cluster"):
                import submitit  # pyright: ignore[reportUnusedImport]  # noqa: F401
        if uses_ray(self._config):
            with require_extra("ray", "hydra/launcher=ray", "ray"):
                import ray  # pyright: ignore[reportUnusedImport]  # noqa: F401
        launch(self._context, self._function, self._config, source)


class ExpSweeper(BasicSweeper):
    """`hydra/sweeper=exp`, the default: Hydra's basic sweeper. exp's launcher composes and validates the jobs."""

    def __init__(self, params: "Mapping[str, Any] | None" = None, **search: Any) -> None:
        super().__init__(max_batch_size=None)
        del search
        self._values = params

    def sweep(self, arguments: list[str]) -> Any:
        from exp.config.overrides import without_escapes
        from exp.sweeps.folds import with_folds
        from exp.sweeps.yaml_params import refuse_search_settings, with_params

        assert self.config is not None
        assert self.hydra_context is not None
        overrides = with_folds(self.config, with_params(self._values, arguments))
        refuse_search_settings(self.config, self.hydra_context.config_loader, overrides)
        if not isinstance(self.launcher, ExpLauncher):
            return super().sweep(overrides)
        parsed = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(overrides)
        (jobs,) = self.split_arguments(parsed, None)
        return [self.launcher.launch([[without_escapes(word) for word in words] for words in jobs], 0)]


class OptunaSweeper(Sweeper):
    """`hydra/sweeper=optuna`: optuna chooses the jobs. It needs `pip install 'exp[search]'`."""

    def __init__(
        self,
        n_trials: int,
        sampler: str,
        pruner: str,
        seed: int,
        storage: str | None,
        study_name: str,
        params: "Mapping[str, Any] | None" = None,
    ) -> None:
        del n_trials, sampler, pruner, seed, storage, study_name  # read from the config
        self._values = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        with require_extra("optuna", "hydra/sweeper=optuna", "search"), warnings.catch_warnings():
            # In a notebook, tqdm, which optuna imports, warns that widgets are missing. exp does not show its bars.
            warnings.filterwarnings("ignore", "IProgress not found")
            from exp.sweeps.search import run_search
        from exp.sweeps.folds import with_folds
        from exp.sweeps.yaml_params import with_params

        overrides = with_folds(self._config, with_params(self._values, arguments))
        run_search(self._launcher, self._context.config_loader, self._config, overrides)


@dataclass
class ExpLauncherConf:
    _target_: str = "hydra_plugins.exp_plugins.ExpLauncher"


@dataclass
class SubmititConf(ExpLauncherConf):
    """Settings of submitit, https://github.com/facebookincubator/submitit. null: the cluster's default."""

    cluster: str = MISSING
    submitit_folder: str = "${hydra.sweep.dir}/.submitit/%j"
    name: str = "${hydra.job.name}"
    timeout_min: int = 60
    max_num_timeout: int = 3  # how often a job that timed out is queued again
    max_queued: int = 1000  # jobs in the queue at a time; Slurm refuses arrays of more than MaxArraySize, often 1001
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    stderr_to_stdout: bool = False
    setup: list[str] | None = None  # shell commands to run before the job


@dataclass
class SubmititLocalConf(SubmititConf):
    """Runs on this machine, to test a cluster sweep."""

    cluster: str = "local"


@dataclass
class SubmititSlurmConf(SubmititConf):
    cluster: str = "slurm"
    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    signal_delay_s: int = 120  # seconds before the time limit
    array_parallelism: int = 256  # jobs that run at the same time
    additional_parameters: dict[str, Any] = field(default_factory=dict[str, Any])  # further options of sbatch


@dataclass
class RayConf(ExpLauncherConf):
    """Runs on a Ray cluster, https://docs.ray.io."""

    address: str | None = None  # auto: that of this machine; HOST:PORT or ray://HOST:PORT; null: start a cluster
    cpus_per_job: float = 1
    gpus_per_job: float | None = None  # 0.5: two jobs on a GPU; null: 1 if the cluster has GPUs and device is not cpu
    timeout: float = 60  # seconds to wait for the cluster, and for a node that is free for a job
    max_retries: int = 3  # how often a job is run again whose worker, actor or node died
    copy_every: float = 30  # seconds between copies of a run from a node that does not share the folder of the sweep


@dataclass
class ExpSweeperConf:
    _target_: str = "hydra_plugins.exp_plugins.ExpSweeper"
    _recursive_: bool = False  # Hydra would call a _target_ in params
    params: dict[str, Any] | None = None  # keys with their values, as they are typed: optimizer.lr: 0.01,0.1
    # A preset of a search may have these. The best trial is a run, or a sweep over its seeds, of the same preset.
    n_trials: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    seed: int | None = None


for name, node in {
    "exp": ExpLauncherConf,
    "submitit_local": SubmititLocalConf,
    "submitit_slurm": SubmititSlurmConf,
    "ray": RayConf,
}.items():
    ConfigStore.instance().store(name, node, group="hydra/launcher", provider="exp")


@dataclass
class OptunaSweeperConf:
    _target_: str = "hydra_plugins.exp_plugins.OptunaSweeper"
    _recursive_: bool = False  # Hydra would call a _target_ in params
    n_trials: int = 20  # in the study, over all searches
    sampler: str = "tpe"  # or random
    pruner: str = "median"  # or hyperband, none: ends runs early, by the metric on the validation rows
    seed: int = 0  # of the sampler
    storage: str | None = None  # a file, or sqlite:///study.db: a later search continues the study
    study_name: str = "exp"
    params: dict[str, Any] | None = None  # keys with their ranges, as they are typed


ConfigStore.instance().store("optuna", OptunaSweeperConf, group="hydra/sweeper", provider="exp")


ConfigStore.instance().store("exp", ExpSweeperConf, group="hydra/sweeper", provider="exp")


# device=cuda:1 is device.name=cuda:1. Not YAML files, because Windows allows no colon in their names.
for index in range(64):
    ConfigStore.instance().store(f"cuda:{index}", {"name": f"cuda:{index}"}, group="device", provider="exp")


ConfigStore.instance().store("schema", Config, provider="exp")
# model=python:module: train(model=my_module) gives its name. No YAML file, because a command line has no such object.
ConfigStore.instance().store("python:module", {"_target_": HELD_MODULE, "name": "???"}, "model", provider="exp")
for group in READ_BY_EXP:
    ConfigStore.instance().store(OWN_TARGET, {"_target_": "???"}, group, provider="exp")
