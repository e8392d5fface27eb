"""Which launcher and sweeper of Hydra's the config of a sweep names."""

from omegaconf import DictConfig

_OUR_LAUNCHER = "hydra_plugins.exp_plugins.ExpLauncher"


# Sweepers that know all jobs before the first one begins.
_GRIDS = ("hydra_plugins.exp_plugins.ExpSweeper", "hydra._internal.core_plugins.basic_sweeper.BasicSweeper")


def is_search(config: DictConfig) -> bool:
    """Return whether the sweeper chooses jobs by the results of earlier ones."""
    return config.hydra.sweeper._target_ not in _GRIDS


def uses_our_launcher(config: DictConfig) -> bool:
    """Return whether exp's own launcher runs the jobs, on this machine or on a cluster."""
    return config.hydra.launcher._target_ == _OUR_LAUNCHER


def uses_cluster(config: DictConfig) -> bool:
    """Return whether exp's own launcher runs the jobs on a cluster."""
    return uses_our_launcher(config) and "cluster" in config.hydra.launcher


def uses_ray(config: DictConfig) -> bool:
    """Return whether exp's own launcher runs the jobs on a Ray cluster."""
    return uses_our_launcher(config) and "address" in config.hydra.launcher
