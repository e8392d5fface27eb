"""The last task of a sweep: means and figures that compare its finished jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from exp.results import repeats, sweep_csv
from exp.sweeps.executors.executor import Executor
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback
    from exp.training.reuse import JobCache


@dataclass(frozen=True)
class Comparison:
    """Writes the means of equal jobs of the sweep in `folder` and, if `has_figures`, draws figures.

    `jobs` are the folders of the finished jobs by their choices, and `repeated` is what varies between those of one.
    """

    folder: Path
    jobs: Mapping[str, Sequence[str]]
    repeated: str
    has_figures: bool

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Write and draw. A failure is an outcome, because the sweep itself is complete."""
        del cache, should_prune
        from exp.reports.comparison import compare

        try:
            compare(self.folder, self.jobs, self.repeated, self.has_figures)
        except Exception as error:
            return Outcome(f"{type(error).__name__}: {error}")
        return Outcome()


def compare_jobs(config: DictConfig, executor: Executor) -> None:
    """Compare the jobs of the sweep with this config; print why if it fails."""
    folder = Path(str(config.hydra.sweep.dir))
    rows = list(sweep_csv.read_rows(folder).values())
    comparison = Comparison(
        folder, repeats.group_finished(rows), repeats.name_repeats(rows), has_figures=config.figures is not False
    )
    outcome = executor.submit(comparison).result()
    if outcome.error is not None:
        print(f"the jobs could not be compared: {outcome.error}")
