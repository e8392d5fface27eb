"""The door: Hydra composes what was typed, a run or a sweep of them follows, a mistake gets one clear message."""

import gc
import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from exp.cli.callback import ExpCallback, InvalidCommand
from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import CommandFailed, Diagnosis, check_flags, check_untrusted, diagnose, move_flags_first
from exp.cli.resume import AlreadyFinished, resume_run, resume_sweep
from exp.config import allowlist
from exp.config.run_spec import RunSpec
from exp.config.schema import CONF, choices_of, validate
from exp.errors import ExpError, display_path
from exp.results import summary, sweep_csv
from exp.sweeps.jobs import InvalidJob
from exp.sweeps.pool import start_worker_early, stop_early_workers

log = logging.getLogger("exp")


# Of the user's own asking: Hydra is always asked for whole errors, because its short ones are in its own words.
_WHOLE_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"


# Words of a sweep whose jobs are made elsewhere.
_NO_WORKER_NEEDED = ("sweep.workers=0", "hydra/launcher=", "--cfg", "-c")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float:
    """One run, and what a search goes by: its `sweep.metric`, NaN if it failed."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        from exp.run import run

        if not gc.isenabled():  # not so for a sweep's later jobs
            gc.freeze()
            gc.enable()
        hydra = HydraConfig.get()
        choices = choices_of(hydra.runtime.choices)
        typed = list(hydra.overrides.task)
        run(RunSpec(validate(cfg), display_path(folder), OmegaConf.to_yaml(cfg, resolve=True), choices, typed))
        return sweep_csv.metric_value(sweep_csv.read_row(folder), cfg.sweep.metric)
    except Exception as error:
        log.exception("the run failed")  # into exp.log
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            if not summary.read(folder):  # not even begun
                summary.write_failure(folder, str(error), list(HydraConfig.get().overrides.task))
            return float("nan")  # and in summary.json: Hydra would stop the others, or repeat it at the end
        ExpCallback.restore_run_folder()
        if isinstance(error, ExpError) and not _WHOLE_TRACEBACK:
            # Here, because Hydra would put a line of its own before it.
            raise CommandFailed(Diagnosis([error]), f"\n  log: {display_path(folder)}/exp.log") from error
        raise


# What exp.sweeps.launcher may have its own processes do instead.
vars(job)["__wrapped__"].runs_in_workers = True


def main() -> None:
    """The command `exp`. Exit code 1 after a mistake or a failed run, 130 after Ctrl-C, 143 after SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no ± shall see the rest
    set_by_user = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    gc.disable()  # until all is imported: searching it for garbage again and again would take half a second
    if allowlist.USER_PACKAGES and "" not in sys.path:
        sys.path.insert(0, "")  # `exp` finds the user's own modules where `python -m exp` does
    try:
        typed = sys.argv[1:]
        if (mistake := check_flags(typed)) is not None:
            raise CommandFailed(Diagnosis([mistake]))
        typed = sys.argv[1:] = move_flags_first(typed)
        line = resume_run(typed)
        if line == typed:  # which a resumed run has asked
            check_untrusted(CommandLine.parse(typed))
        allowlist.add_to_path(get_args_parser().parse_args(line).config_dir if allowlist.USER_PACKAGES else None)
        sys.argv[1:] = resume_sweep(line)
        if {"-m", "--multirun"} & set(line) and not any(word.startswith(_NO_WORKER_NEEDED) for word in line):
            start_worker_early(beside_others=any(word.startswith("sweep.workers=") for word in line))
        job()
    except InvalidCommand as refused:
        if _WHOLE_TRACEBACK:
            raise refused.mistake from None
        raise CommandFailed(diagnose(refused.mistake, CommandLine.parse(sys.argv[1:]))) from None
    except AlreadyFinished as finished:
        print(f"exp: {finished}")
    except KeyboardInterrupt as error:
        sys.exit(143 if type(error).__name__ == "Terminated" else 130)
    except BrokenPipeError:  # whoever read what we say has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except Exception as error:
        reason = error.reason if isinstance(error, InvalidJob) else error
        ours = isinstance(reason, ExpError | OSError | YAMLError | UnicodeDecodeError)
        if _WHOLE_TRACEBACK or not (ours or _is_from_hydra(reason)):
            raise
        raise CommandFailed(diagnose(error, CommandLine.parse(sys.argv[1:]))) from None
    finally:
        stop_early_workers()
        gc.enable()
        del os.environ["HYDRA_FULL_ERROR"]  # not for processes that the caller starts later
        if set_by_user is not None:
            os.environ["HYDRA_FULL_ERROR"] = set_by_user


def _is_from_hydra(error: Exception) -> bool:
    """Whether Hydra or OmegaConf refused what was typed; some of what they raise is a plain ValueError."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    module = str(innermost.tb_frame.f_globals.get("__name__")) if innermost is not None else ""
    return isinstance(error, HydraException | OmegaConfBaseException) or module.startswith(("hydra.", "omegaconf."))


if __name__ == "__main__":
    main()
