"""PreviousRun: what a run folder holds of an earlier start of the same run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.config.overrides import override_key
from exp.config.run_spec import RunSpec
from exp.config.schema import Config
from exp.config.user_sources import describe_changed_sources
from exp.data.input_files import DATA_PATHS, describe_changed_rows, describe_moved
from exp.errors import CheckpointError, ConfigError, DataError
from exp.results import checkpoints, metrics_csv, summary
from exp.results.initial import read_initial
from exp.results.run_folder import BEST_CHECKPOINT, INITIAL_PARAMETERS, LAST_CHECKPOINT, METRICS, SUMMARY
from exp.training.build import Experiment, build
from exp.training.events import State
from exp.training.reuse import JobCache

# What the bits of a run depend on, besides its config.
_ENVIRONMENT = ("cpu", "python", "torch", "numpy", "scikit-learn", "threads", "device", "gpu", "commit")


@dataclass(frozen=True)
class PreviousRun:
    """What a resumed run continues from; everything is empty for a new run.

    Args:
        folder: The run folder.
        summary: The content of summary.json.
        checkpoint: The newest readable checkpoint; None also for a run that was killed before its first one.
        damaged: A message for each newer checkpoint that cannot be read.
        initial: The initial parameters of a run with init=; None if it continues from a checkpoint.
    """

    folder: Path
    summary: dict[str, Any]
    checkpoint: State | None
    damaged: list[str]
    initial: State | None = None

    @classmethod
    def read(cls, spec: RunSpec) -> "PreviousRun":
        """Read the run folder.

        Raises:
            ConfigError: The folder holds a run, and the config does not resume it.
            CheckpointError: No checkpoint can be read.
        """
        folder, resumes = spec.folder, spec.config.resume is not None
        if not resumes and (folder / SUMMARY).exists() and not summary.has_nothing(folder):
            raise ConfigError(f"{folder} already contains a run", "hydra.run.dir=ANOTHER_FOLDER")
        checkpoint, damaged = checkpoints.newest(folder) if resumes else (None, [])
        initial = None
        if checkpoint is None and spec.config.init is not None:
            own = folder / INITIAL_PARAMETERS
            initial = checkpoints.read(own) if resumes and own.exists() else read_initial(spec.config.init)
        return cls(folder, summary.read(folder) if resumes else {}, checkpoint, damaged, initial)

    @property
    def step(self) -> int | None:
        """The step of the checkpoint; None if there is no checkpoint."""
        return self.checkpoint["progress"]["step"] if self.checkpoint is not None else None

    def rebuild(self, config: Config, cache: JobCache | None, on_progress: Callable[[int], None]) -> Experiment:
        """Build the experiment of the run again. `build` describes the arguments.

        Raises:
            DataError: The rows differ from those that the checkpoint was trained on.
        """
        experiment = build(config, cache, self.initial, on_progress)
        recorded = self.checkpoint["data"] if self.checkpoint is not None else self.summary.get("data_sha256")
        if recorded not in (None, experiment.data.fingerprint):
            how = describe_changed_rows(str(recorded), experiment.data.fingerprint)
            what = f"dataset: the rows differ from those that the run was trained on: {how}"
            raise DataError(what, "the original rows, or a new run")
        return experiment

    def moved_files(self, overrides: Sequence[str]) -> Iterator[str]:
        """Yield a note for each of `overrides` that is another path of a data file than before."""
        before = self.summary.get("overrides")
        for override in overrides:
            if before is not None and override_key(override) in DATA_PATHS and override not in before:
                yield describe_moved(override)

    def warnings(self, experiment: Experiment, environment: Mapping[str, Any]) -> Iterator[str]:
        """Yield what was lost, and what may change the bits from here on."""
        if self.checkpoint is None and experiment.config.resume is not None:
            yield f"{self.folder / LAST_CHECKPOINT} does not exist: the run starts again from its first step"
        for problem in self.damaged:
            yield f"{problem}; using the previous checkpoint"
        if self.step is not None:
            yield from self._lost_results(self.step, experiment)
        yield from describe_changed_sources(self.summary)
        saved = self.summary.get("environment", {})
        for key in _ENVIRONMENT:
            if key in saved and saved[key] != environment[key]:
                change = f"{key} was {saved[key]}, is now {environment[key]}"
                yield f"{change}: results may differ from those of an uninterrupted run"

    def _lost_results(self, step: int, experiment: Experiment) -> Iterator[str]:
        """Yield which results up to `step`, that of the checkpoint, are missing or damaged."""
        try:
            checkpoints.read(self.folder / BEST_CHECKPOINT)
        except CheckpointError as error:
            yield f"{error.problem}; it is written again only if the validation metric improves further"
        last = max((row.step for row in metrics_csv.read_rows(self.folder) if row.step <= step), default=0)
        if step - last >= max(experiment.plan.log, experiment.plan.evaluate):
            end = f"{self.folder}/{METRICS} ends at step {last:,}"
            yield f"{end}: the metrics from there to step {step:,} are lost"
