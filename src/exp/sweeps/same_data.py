"""Check that a resumed sweep, or a search that continues its study, trains on the rows of its earlier jobs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exp.config.schema import Config
from exp.data.input_files import describe_changed_rows
from exp.errors import ExpError
from exp.sweeps.executors.executor import Executor
from exp.sweeps.jobs import Job
from exp.sweeps.task import Outcome

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback
    from exp.training.reuse import JobCache


@dataclass(frozen=True)
class CompareRows:
    """Compares the fingerprint of the rows of `config` with `recorded`. A difference is the outcome's error."""

    config: Config
    recorded: str

    def run(self, cache: "JobCache", should_prune: "PruningCallback | None") -> Outcome:
        """Load the rows. Rows that cannot be loaded are no difference: each job tells why."""
        del cache, should_prune
        from exp.training.rows import load_dataset

        try:
            fingerprint = load_dataset(self.config).fingerprint
        except ExpError:
            return Outcome()
        where = self.config.dataset.get("path")
        rows = f"the rows of dataset.path={where}" if where else "the rows of the dataset"
        if fingerprint == self.recorded:
            return Outcome()
        return Outcome(f"{rows} changed: {describe_changed_rows(self.recorded, fingerprint)}")


def rows_key(job: Job) -> str:
    """Return a hash of what determines the rows of a job: the dataset and the seed."""
    settings = json.dumps([job.config.dataset, job.config.seed], default=str, sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()


def find_changed_rows(jobs: Mapping[str, Job], recorded: Mapping[str, str], executor: Executor) -> str | None:
    """Return how the rows of a job differ from those of earlier jobs; None if they are the same.

    Args:
        jobs: A job of each `rows_key`.
        recorded: The fingerprints of the rows of earlier jobs, by `rows_key`.
    """
    checks = [CompareRows(job.config, recorded[key]) for key, job in jobs.items() if key in recorded]
    return next((error for check in checks if (error := executor.submit(check).result().error)), None)
