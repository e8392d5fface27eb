"""What a sweep hands to a process that has never heard of it: a job, or a picture of all jobs; and how that ended."""

import logging
import logging.config
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from exp.config.run_spec import RunSpec
from exp.config.schema import Config
from exp.errors import ExpError, Pruned

if TYPE_CHECKING:
    from exp.training.events import PruningCallback
    from exp.training.reuse import JobCache


log = logging.getLogger("exp")


@dataclass(frozen=True)
class Outcome:
    """How a task ended: what was wrong, if anything, or that it was asked to stop; all else it left in its folder."""

    error: str | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What a run asks of the search that it belongs to, while it waits: the answer is whether it has no hope."""

    epoch: float
    metrics: dict[str, float]


class Runnable(Protocol):
    """What a worker makes."""

    def run(self, shelf: "JobCache", hopeless: "PruningCallback") -> Outcome: ...


@dataclass(frozen=True)
class Task:
    """One run to make: what `run` takes, the settings of its log and of its environment."""

    config: Config
    folder: Path
    text: str
    choices: Mapping[str, str]
    overrides: list[str]
    logging: dict[str, Any]
    environment: Mapping[str, str]
    prunable: bool = False  # by the search that it belongs to, while it runs

    def run(self, shelf: "JobCache", hopeless: "PruningCallback") -> Outcome:
        """Make the run; whatever goes wrong is in its exp.log and summary.json, and here in a line."""
        from exp.run import run

        judge = hopeless if self.prunable else None
        with _environment(self.environment), _log(self.logging):
            try:
                spec = RunSpec(self.config, self.folder, self.text, self.choices, self.overrides)
                run(spec, shelf, judge)
            except Pruned:
                return Outcome()
            except KeyboardInterrupt:
                return Outcome(interrupted=True)
            except Exception as error:
                log.exception("the run failed")
                told = error.problem if isinstance(error, ExpError) else f"{type(error).__name__}: {error}"
                return Outcome(told)
        return Outcome()


@dataclass(frozen=True)
class Comparison:
    """The finished jobs of the sweep in `folder` beside each other, by what sets them apart but for their seed."""

    folder: Path
    jobs: Mapping[str, Sequence[str]]

    def run(self, shelf: "JobCache | None" = None, hopeless: "PruningCallback | None" = None) -> Outcome:
        """Draw it; if it cannot be drawn, the sweep is none the worse."""
        del shelf, hopeless
        from exp.reports.comparison import compare

        try:
            compare(self.folder, self.jobs)
        except Exception as error:
            return Outcome(f"{type(error).__name__}: {error}")
        return Outcome()


@contextmanager
def _environment(more: Mapping[str, str]) -> Generator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _log(settings: dict[str, Any]) -> Generator[None]:
    """Everything logged goes where the job's settings say, and nothing of it stays for the next job."""
    logging.config.dictConfig(settings)
    try:
        yield
    finally:
        root = logging.getLogger()
        for handler in root.handlers[:]:
            root.removeHandler(handler)
            handler.close()
