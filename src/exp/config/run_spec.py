"""RunSpec: everything that one run is started with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exp.config.schema import Config


@dataclass(frozen=True)
class RunSpec:
    """What to run, where to write it, and how it was chosen.

    Args:
        config: The validated config.
        folder: The run folder.
        config_yaml: The composed config as YAML, to be logged.
        choices: The option selected in each config group.
        overrides: The overrides of the command line.
    """

    config: Config
    folder: Path
    config_yaml: str
    choices: Mapping[str, str]
    overrides: list[str]
