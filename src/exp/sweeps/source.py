"""Where the jobs of a sweep come from: a fixed list, or a search that chooses them by the results of earlier jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hydra.core.utils import JobReturn

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


@dataclass(frozen=True)
class JobRequest:
    """A job to run. `should_prune` may end it after a validation."""

    number: int
    overrides: Sequence[str]
    should_prune: "PruningCallback | None" = None


class JobSource(Protocol):
    """Gives a sweep its jobs, and receives their results. It is only called in the thread of the sweep."""

    jobs: int  # that it gives in all, at most
    examples: Sequence[Sequence[str]]  # overrides of possible jobs, which are validated before the first job begins
    rows: dict[str, str]  # fingerprints of the rows of jobs, by same_data.rows_key; the sweep adds those of its jobs

    def take(self) -> Sequence[JobRequest]:
        """Return the next jobs, which are checked together before the first of them begins.

        It is called when a worker is free. Without jobs, it is called again after the next result.
        """
        ...

    def record(self, number: int, result: JobReturn) -> None:
        """Receive the result of a job. Its value is NaN if the job did not finish."""
        ...


class JobList:
    """A fixed list of jobs, numbered from `first`: the source of an ordinary sweep."""

    def __init__(self, overrides: Sequence[Sequence[str]], first: int = 0) -> None:
        self.jobs = len(overrides)
        self.examples: Sequence[Sequence[str]] = ()  # all jobs are taken at once
        self.rows: dict[str, str] = {}
        self._requests = [JobRequest(number, line) for number, line in enumerate(overrides, first)]
        self._results: dict[int, JobReturn] = {}

    def take(self) -> Sequence[JobRequest]:
        """Return all jobs at the first call."""
        requests, self._requests = self._requests, []
        return requests

    def record(self, number: int, result: JobReturn) -> None:
        self._results[number] = result

    @property
    def results(self) -> list[JobReturn]:
        """The results so far, in the order of the jobs."""
        return [self._results[number] for number in sorted(self._results)]
