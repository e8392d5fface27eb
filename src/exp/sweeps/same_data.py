"""Check that a resumed sweep trains on the rows that its finished jobs were trained on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exp.config.schema import Config
from exp.errors import ConfigError, ExpError
from exp.results import summary
from exp.sweeps.executors._base import Executor
from exp.sweeps.jobs import Job
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
    from exp.training.events import PruningCallback
    from exp.training.reuse import JobCache


@dataclass(frozen=True)
class CheckData:
    """Compares the fingerprint of the rows of `config` with `recorded`. A difference is the outcome's error."""

    config: Config
    recorded: str

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Load the rows. Rows that cannot be loaded are no difference: each job tells why."""
        del cache, should_prune
        from exp.training.build import load_dataset

        try:
            fingerprint = load_dataset(self.config).fingerprint
        except ExpError:
            return Outcome()
        where = self.config.dataset.get("path")
        rows = f"the rows of dataset.path={where}" if where else "the rows of the dataset"
        if fingerprint == self.recorded:
            return Outcome()
        return Outcome(f"{rows} changed: their fingerprint was {self.recorded[:12]}, is now {fingerprint[:12]}")


def check_same_data(folder: Path, find: Callable[[Job], Path | None], jobs: Sequence[Job], executor: Executor) -> None:
    """Raise ConfigError if the rows differ from those that a job of the sweep in `folder` was trained on.

    Args:
        find: Returns the folder of a job, None for a new job.
    """
    checks: dict[str, CheckData] = {}
    for job in jobs:
        begun = find(job)
        recorded = None if begun is None else summary.read(begun).get("data_sha256")
        if isinstance(recorded, str):
            dataset = json.dumps([job.config.dataset, job.config.seed], default=str, sort_keys=True)
            checks.setdefault(dataset, CheckData(job.config, recorded))
    for check in checks.values():
        if error := executor.submit(check).result().error:
            raise ConfigError(
                f"cannot resume the sweep in {folder}: {error}",
                "a new sweep, without sweep.resume, or the original rows",
                key="sweep.resume",
            )
