"""The messages between a sweep and its workers: tasks, evaluations and outcomes. All can be pickled."""

import logging
import logging.config
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from exp.config.run_spec import RunSpec
from exp.errors import ConfigError, ExpError, Pruned
from exp.results.lock import folder_lock
from exp.results.log_lines import tell_lost, tell_no_traceback
from exp.results.run_folder import SUMMARY

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback
    from exp.training.reuse import JobCache


log = logging.getLogger("exp")


@dataclass(frozen=True)
class Outcome:
    """How a task ended: with an error, interrupted, or neither. Its results are in its folder.

    Attributes:
        refused: Why the jobs cannot run at all; only of a check before they begin.
    """

    error: str | None = None
    interrupted: bool = False
    refused: ExpError | None = None


@dataclass(frozen=True)
class Evaluation:
    """Sent by a prunable run after a validation. The reply is a bool: whether to prune the run."""

    epoch: float
    metrics: dict[str, float]


class Runnable(Protocol):
    """What an executor runs. It is pickled to reach another process."""

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome: ...


@dataclass(frozen=True)
class Assignment:
    """The message that gives a worker its next task; a prunable one sends an Evaluation after each validation."""

    task: Runnable
    is_prunable: bool


@dataclass(frozen=True)
class Task:
    """One run to make, with the settings of its log and of its environment."""

    spec: RunSpec
    logging: dict[str, Any]
    environment: Mapping[str, str]

    def resumed(self) -> "Task":
        """Return the task that resumes the run if it has begun, after its process or machine was lost."""
        spec = self.spec
        begun = str(spec.folder) if (spec.folder / SUMMARY).exists() else None
        config = replace(spec.config, resume=spec.config.resume or begun)
        return replace(self, spec=replace(spec, config=config))

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Train the run. An error is written to its exp.log and summary.json, and returned as one line.

        Nothing is written while another process uses the folder of the run.
        """
        with job_environment(self.environment):
            try:
                with folder_lock(self.spec.folder), _log(self.logging):
                    return self._run(cache, should_prune)
            except ConfigError as error:  # only of the lock
                return Outcome(error.problem)
            except OSError as error:  # only of the folder or the log, before the run begins: `_run` returns its errors
                return Outcome(f"{error.filename} cannot be written: {str(error.strerror or error).lower()}")

    def _run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        from exp.run import run

        try:
            run(self.spec, cache, should_prune, quiet=True)
        except Pruned:
            return Outcome()
        except KeyboardInterrupt:
            return Outcome(interrupted=True)
        except Exception as error:
            log.exception("the run failed")
            return Outcome(error.problem if isinstance(error, ExpError) else f"{type(error).__name__}: {error}")
        return Outcome()


@contextmanager
def job_environment(settings: Mapping[str, str]) -> Generator[None]:
    """Return the environment variables of one job.

    Afterwards each variable that the job set, changed or deleted is as before, because a worker runs the next job in
    the same process. Variables are restored one by one: with sweep.workers=0 other threads of a notebook read them.
    """
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            os.environ.pop(name, None)
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


@contextmanager
def _log(settings: dict[str, Any]) -> Generator[None]:
    """Add the log handlers of one job. They are removed and closed when the context exits.

    Raises:
        OSError: A log cannot be opened. Lines that cannot be written later are a note on stderr: the run is not lost.
    """
    try:
        logging.config.dictConfig(settings)
    except ValueError as error:  # logging's own, which does not say why
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise
    root = logging.getLogger()
    for handler in root.handlers:
        tell_no_traceback(handler)
    try:
        yield
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
            _close(handler)


def _close(handler: logging.Handler) -> None:
    try:
        handler.close()
    except OSError as error:  # what could not be written before is tried once more
        tell_lost(handler, error)
