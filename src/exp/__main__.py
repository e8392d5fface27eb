"""The door: Hydra composes what was typed, one run (or a sweep of them) follows, and a mistake gets one clear message."""

import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config import CONF, check
from exp.errors import ExpError
from exp.mistakes import explained

log = logging.getLogger("exp")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float:
    """One run; its final validation loss is what a sweeper minimises."""
    try:
        config = check(cfg)
        from exp.run import run  # late: torch takes a second to import, and a mistake in the config needs none of it

        hydra_config = HydraConfig.get()
        choices = {group: option for group, option in hydra_config.runtime.choices.items() if "/" not in group and option}
        folder = _as_typed(Path(hydra_config.runtime.output_dir))
        return run(config, folder, OmegaConf.to_yaml(cfg, resolve=True), choices, list(hydra_config.overrides.task))
    except Exception:
        log.exception("the run failed")  # into exp.log
        raise


def main() -> None:
    """The command `exp`. Exit code 1 after a mistake or a failed run, 130 after Ctrl-C."""
    whole_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Hydra prints errors itself, in its own words, unless it is asked for everything.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        job()
    except KeyboardInterrupt:
        sys.exit(130)
    except (ExpError, HydraException, OmegaConfBaseException) as error:
        if whole_traceback:
            raise
        sys.exit(f"exp: {explained(error, sys.argv[1:])}")


def _as_typed(folder: Path) -> Path:
    """The folder as a person standing here would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


if __name__ == "__main__":
    main()
