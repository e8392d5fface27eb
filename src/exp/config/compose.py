"""Compose a config from a command line, with Hydra."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from exp.config.schema import CONF


def compose_config(overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides)
