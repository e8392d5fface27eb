"""The door: Hydra composes what was typed, a run or a sweep of them follows, a mistake gets one clear message."""

import gc
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp import allowlist
from exp.config import CONF, Config, check
from exp.config_dir import refuse_hydra_settings
from exp.errors import ConfigError, ExpError
from exp.report import check_line, report
from exp.resuming import Finished, resumed

log = logging.getLogger("exp")

# Of the user's own asking: Hydra is always asked for whole errors, because its short ones are in its own words.
_WHOLE_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"


class _Refused(SystemExit):
    """A config that is not what it must be. Of this kind because Hydra has nothing to say of it."""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float:
    """One run; its final validation loss is what a sweeper minimises."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        config = check(cfg)
    except ConfigError as error:
        _leave_nothing(folder)
        raise _Refused(error) from error
    try:
        from exp.run import run  # late: torch takes a second to import, and a mistake in the config needs none of it

        if not gc.isenabled():  # not so for a sweep's later jobs
            gc.freeze()
            gc.enable()
        typed = list(HydraConfig.get().overrides.task)
        return run(config, _as_typed(folder), OmegaConf.to_yaml(cfg, resolve=True), _choices(), typed)
    except Exception as error:
        log.exception("the run failed")  # into exp.log
        if isinstance(error, ExpError) and not _WHOLE_TRACEBACK:
            said = f"exp: {error}\n  log: {_as_typed(folder)}/exp.log"
            if HydraConfig.get().mode == RunMode.RUN:
                sys.exit(said)  # here, because Hydra would put a line of its own before it
            print(said, file=sys.stderr)  # here, because Hydra tells of the first failed job alone, and at the end
        raise


def main() -> None:
    """The command `exp`. Exit code 1 after a mistake or a failed run, 130 after Ctrl-C, 143 after SIGTERM."""
    set_by_user = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    gc.disable()  # until all is imported: searching it for garbage again and again would take half a second
    if allowlist.OF_USER and "" not in sys.path:
        sys.path.insert(0, "")  # `exp` finds the user's own modules where `python -m exp` does
    try:
        sys.argv[1:] = resumed(sys.argv[1:])
        config_dir = get_args_parser().parse_args().config_dir
        if config_dir is not None:
            refuse_hydra_settings(Path(config_dir))
        _refuse_used_folder(sys.argv[1:])
        if any(word in ("-m", "--multirun") for word in sys.argv[1:]):
            check_line(sys.argv[1:])  # every job of a sweep, before the first of them begins
        job()
    except _Refused as refused:
        if _WHOLE_TRACEBACK:
            raise refused.code from None  # pyright: ignore[reportGeneralTypeIssues]
        sys.exit(f"exp: {report(refused.code, sys.argv[1:])}")  # pyright: ignore[reportArgumentType]
    except Finished as finished:
        print(f"exp: {finished}")
    except KeyboardInterrupt as error:
        sys.exit(143 if type(error).__name__ == "Terminated" else 130)
    except Exception as error:
        if _WHOLE_TRACEBACK or not (isinstance(error, ExpError | OSError) or _is_hydras(error)):
            raise
        sys.exit(f"exp: {report(error, sys.argv[1:])}")
    finally:
        gc.enable()
        del os.environ["HYDRA_FULL_ERROR"]  # not for processes that the caller starts later
        if set_by_user is not None:
            os.environ["HYDRA_FULL_ERROR"] = set_by_user


def _refuse_used_folder(typed: list[str]) -> None:
    """Refuse a run's folder as another run's before Hydra writes its files over those of the first."""
    words = dict(word.split("=", 1) for word in typed if "=" in word)
    folder = Path(words.get("hydra.run.dir", "").strip("'\""))
    if "hydra.run.dir" in words and "resume" not in words and (folder / "summary.json").exists():
        raise ConfigError(
            f"hydra.run.dir={folder}: it holds a run already, and two would mix",
            f"resume={folder} to go on with it, or hydra.run.dir=ANOTHER_FOLDER",
        )


def _leave_nothing(folder: Path) -> None:
    """Take away what Hydra wrote for a run that never began."""
    if (folder / "summary.json").exists():
        return
    for path in [*folder.glob(".hydra/*.yaml"), folder / "exp.log"]:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it
        for empty in (folder / ".hydra", folder, folder.parent, folder.parent.parent):
            empty.rmdir()


def _is_hydras(error: Exception) -> bool:
    """Whether Hydra or OmegaConf refused what was typed; some of what they raise is a plain ValueError."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    module = str(innermost.tb_frame.f_globals.get("__name__")) if innermost is not None else ""
    return isinstance(error, HydraException | OmegaConfBaseException) or module.startswith(("hydra.", "omegaconf."))


def _choices() -> dict[str, str]:
    """The option taken of each group, in the config's order."""
    taken = HydraConfig.get().runtime.choices
    return {group: str(taken[group]) for group in ("experiment", *Config.__dataclass_fields__) if taken.get(group)}


def _as_typed(folder: Path) -> Path:
    """The folder as a person standing here would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


if __name__ == "__main__":
    main()
