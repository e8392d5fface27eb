"""The command `exp`: arguments become a validated config, then a run or a sweep; errors say what to type."""

import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from exp.cli.callback import Abort, output_folder
from exp.cli.command_line import CommandLine
from exp.cli.commands import COMMANDS, load, run_command
from exp.cli.default_values import with_lower_rate
from exp.cli.detach import Detach, start_detached
from exp.cli.diagnosis import CommandError, check_untrusted, correct, diagnose
from exp.cli.explain import explain
from exp.cli.folder import locks_until_end
from exp.cli.help import help_text, version_text
from exp.cli.resume import restored_unless_begun, resume_run, resume_sweep
from exp.cli.resume_changes import AlreadyFinished
from exp.cli.startup import early_workers, full_hydra_errors, own_hydra_config, prepare_streams
from exp.cli.train_in_json import FLAG, train_in_json
from exp.config import allowlist
from exp.config.compose import run_application, typed_words
from exp.config.run_spec import RunSpec
from exp.config.schema import choices_of
from exp.config.validation import validate
from exp.errors import ExpError, display_path
from exp.results import summary, sweep_csv
from exp.results.log_lines import note_lost_lines
from exp.results.run_folder import is_run, resume_command
from exp.sweeps.executors.executor import leave
from exp.sweeps.executors.first_process import stop_first
from exp.sweeps.executors.worker_pool import start_workers_early
from exp.sweeps.folds import sweep_metric
from exp.sweeps.jobs import InvalidJob, Planned
from exp.training.import_gc import end_gc_pause, gc_pause
from exp.training.interrupts import exit_code_of, find_stop, raising_sigterm

log = logging.getLogger("exp")


def main() -> None:
    """Run `exp`. Exit codes: 1 after an error or a failed run, 130 after Ctrl-C, 143 after SIGTERM."""
    prepare_streams()
    arguments = sys.argv[1:]
    try:
        if arguments and arguments[0] in COMMANDS:
            run_command(load(arguments[0]), arguments[1:])
        else:
            with gc_pause(), raising_sigterm():
                train = partial(train_or_sweep, returns_if_stopped=True)
                code = train_in_json(arguments, train) if FLAG in arguments else train(arguments).exit_code
            leave(code)
    except CommandError as error:
        sys.exit(f"exp: {error}")
    except KeyboardInterrupt as error:
        sys.exit(exit_code_of(error))
    except BrokenPipeError:  # the reader of our output is gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


class Completed(NamedTuple):
    """The folder of the run or sweep, None where nothing was to be trained; 1 as the exit code if a job failed.

    The exit code of a run or sweep that was stopped is 130, or 143 by SIGTERM.
    """

    folder: Path | None
    exit_code: int = 0
    planned: Sequence[Sequence[str]] | None = None  # the overrides of each job, if they were only listed


def train_or_sweep(arguments: Sequence[str], quiet: bool = False, returns_if_stopped: bool = False) -> Completed:
    """Train or sweep as the arguments say; `quiet` prints nothing of a run.

    Raises:
        CommandError: The command is wrong, or its run failed.
        KeyboardInterrupt: It was stopped before it began, or, without `returns_if_stopped`, at any time.
    """
    try:
        return _train_or_sweep(arguments, quiet_job if quiet else job, returns_if_stopped)
    except Detach as detach:
        try:
            return Completed(detach.folder, start_detached(arguments, detach.folder))
        except OSError as error:
            raise CommandError(diagnose(error, CommandLine.parse(arguments))) from None


def _train_or_sweep(arguments: Sequence[str], job: TaskFunction, returns_if_stopped: bool) -> Completed:
    line = CommandLine(overrides=tuple(arguments))  # until it is parsed
    with locks_until_end(), own_hydra_config(), full_hydra_errors() as show_traceback, early_workers():
        try:
            line = CommandLine.parse(arguments)
            if (shown := _information(line)) is not None:
                print(shown)
                return Completed(None)
            line = resume_sweep(resume_run(line))
            if line.resumed is None:
                check_untrusted(line)
            allowlist.add_to_path(line.config_dir)
            if line.trains_in_workers:
                start_workers_early(line.text_of("sweep.workers"))
            stop_first()  # still there if it has other variables, or if the sweep has no workers
            return _run_hydra(line, job)
        except AlreadyFinished as finished:
            print(f"exp: {finished}")
            return Completed(finished.folder)
        except Abort as abort:
            if show_traceback:
                raise abort.error from None
            error = with_lower_rate(
                abort.error if isinstance(abort.error, ExpError) else explain(abort.error, line), line
            )
            diagnosis = diagnose(error, line) if abort.folder is None else correct(error, line)
            raise CommandError(diagnosis, abort.folder) from None
        except KeyboardInterrupt as stop:
            if not returns_if_stopped or (folder := output_folder()) is None:
                raise
            if is_run(folder) and not summary.read(folder):
                print(f"stopped before the first step; to begin again: {resume_command(display_path(folder))}")
            return Completed(folder, exit_code_of(stop))
        except BrokenPipeError:  # not an error of the command
            raise
        except Exception as error:
            if show_traceback or not _is_explained(error):
                raise
            raise CommandError(diagnose(error, line)) from None


def _information(line: CommandLine) -> str | None:
    if {"-h", "--help"} & set(line.flags):
        return help_text(line)
    return version_text() if "--version" in line.flags else None


def _run_hydra(line: CommandLine, job: TaskFunction) -> Completed:
    try:
        with restored_unless_begun(line.resumed):
            run_application(job, line.namespace())
    except SystemExit as stop:  # of a sweep with failed jobs, or where Hydra or exp only shows something
        if isinstance(stop, Planned):
            return Completed(output_folder(), 0, stop.jobs)
        return Completed(output_folder(), stop.code if isinstance(stop.code, int) else int(stop.code is not None))
    except Exception as error:
        if (stop := find_stop(error)) is not None:  # and the cleaning up after it failed
            raise stop from None
        raise
    return Completed(output_folder())


def job(cfg: DictConfig) -> float:
    """Train one run, and return what a search minimizes or maximizes: its `sweep.metric`, NaN if it failed."""
    return _train(cfg, quiet=False)


def quiet_job(cfg: DictConfig) -> float:
    """Train one run as `job` does, and print nothing."""
    return _train(cfg, quiet=True)


# exp.sweeps.launcher trains it in exp's own workers.
vars(job)["runs_in_workers"] = True


@note_lost_lines()
def _train(cfg: DictConfig, quiet: bool) -> float:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        from exp.run import run

        end_gc_pause()
        hydra = HydraConfig.get()
        choices = choices_of(hydra.runtime.choices)
        typed = typed_words(hydra.overrides.task)
        run(
            RunSpec(validate(cfg), display_path(folder), OmegaConf.to_yaml(cfg, resolve=True), choices, typed),
            quiet=quiet,
        )
        metric = sweep_metric(cfg, HydraConfig.instance().cfg)
        return sweep_csv.metric_value(sweep_csv.read_row(folder), metric)
    except Exception as error:
        log.exception("the run failed")  # into exp.log
        if not summary.read(folder):  # it did not begin
            summary.write_failure(folder, str(error), typed_words(HydraConfig.get().overrides.task))
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return float("nan")  # an error would stop the other jobs; summary.json has it
        if _is_explained(error):
            raise Abort(error, folder) from error
        raise


def _is_explained(error: Exception) -> bool:
    """Return whether exp, Hydra or OmegaConf refused the command. Some errors of those two are a plain ValueError."""
    error = error.reason if isinstance(error, InvalidJob) else error
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    module = str(innermost.tb_frame.f_globals.get("__name__")) if innermost is not None else ""
    refused = ExpError | OSError | YAMLError | UnicodeDecodeError | HydraException | OmegaConfBaseException
    return isinstance(error, refused) or module.startswith(("hydra.", "omegaconf."))
