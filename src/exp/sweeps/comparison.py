"""The last task of a sweep: figures that compare its finished jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exp.results import repeats, sweep_csv
from exp.sweeps.executors.executor import Executor
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback
    from exp.training.reuse import JobCache


@dataclass(frozen=True)
class Comparison:
    """Draws the figures of the sweep in `folder`.

    `jobs` are the folders of the finished jobs by their choices, and `repeated` is what varies between those of one.
    """

    folder: Path
    jobs: Mapping[str, Sequence[str]]
    repeated: str

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Draw the figures. A failure is an outcome, because the sweep itself is complete."""
        del cache, should_prune
        from exp.reports.comparison import compare

        try:
            compare(self.folder, self.jobs, self.repeated)
        except Exception as error:
            return Outcome(f"{type(error).__name__}: {error}")
        return Outcome()


def compare_jobs(folder: Path, executor: Executor) -> None:
    """Draw the comparison of the sweep in `folder`; print why if it fails."""
    rows = list(sweep_csv.read_rows(folder).values())
    comparison = Comparison(folder, repeats.group_finished(rows), repeats.name_repeats(rows))
    outcome = executor.submit(comparison).result()
    if outcome.error is not None:
        print(f"the jobs could not be compared: {outcome.error}")
