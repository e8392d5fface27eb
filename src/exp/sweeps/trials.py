"""The trials of a search as a source of jobs. A trial is one job, or one for each of the seeds or folds."""

import math
import shlex
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import optuna
from hydra.core.utils import JobReturn
from optuna.trial import FrozenTrial, TrialState

from exp.errors import ConfigError
from exp.results import summary
from exp.sweeps.same_study import ANOTHER
from exp.sweeps.search_space import SearchSpace, to_overrides
from exp.sweeps.source import JobRequest
from exp.sweeps.study import FOLDER, INTERRUPTED, find_best_trial, read_ended_trials

if TYPE_CHECKING:
    from exp.training.pruning import PruningCallback


# Before the key of rows, in the attributes of a study that hold their fingerprints.
_ROWS = "rows "


class _Ending(NamedTuple):
    """How a trial ended. `text` describes it."""

    state: TrialState
    text: str
    value: float | None = None


class _OpenTrial:
    """A trial whose jobs have not all ended. `metric`: the name of the metric by which it is pruned."""

    def __init__(self, trial: optuna.Trial, choices: Sequence[str], jobs: Sequence[Sequence[str]], metric: str) -> None:
        self.trial = trial
        self.choices = choices
        self.left = deque(enumerate(jobs))  # not given to the sweep yet
        self.is_over = False
        self._jobs = len(jobs)
        self._metric = metric
        self._epoch = 0
        self._is_pruned = False
        self._values: dict[int, float] = {}  # of the finished jobs, by their place in the trial
        self._reported = 0  # jobs whose mean was reported

    @property
    def should_prune(self) -> "PruningCallback":
        """What may end one of the jobs after a validation. Called in other threads."""
        return self._should_prune_job if self._jobs == 1 else lambda epoch, metrics: self.is_over  # noqa: ARG005

    def _should_prune_job(self, epoch: float, metrics: dict[str, float]) -> bool:
        """Report the validation metrics after `epoch`, and return whether the pruner ends the trial."""
        if int(epoch) > self._epoch and self._metric in metrics:
            self._epoch = int(epoch)
            self.trial.report(metrics[self._metric], self._epoch)
            self._is_pruned = bool(self.trial.should_prune())  # optuna returns a NumPy bool
        return self._is_pruned

    def record(self, place: int, job: JobReturn) -> _Ending | None:
        """Receive the result of the job at `place`. Return how the trial ended; None if it has not, or had before."""
        if self.is_over:
            return None
        ending = self._ending(place, job)
        self.is_over = ending is not None
        return ending

    def _ending(self, place: int, job: JobReturn) -> _Ending | None:
        value = float(job.return_value)
        if self._is_pruned:
            return _Ending(TrialState.PRUNED, f"pruned after epoch {self._epoch}")
        if math.isnan(value):
            if summary.read(Path(job.working_dir or ".")).get("status") == "pruned":
                return _Ending(TrialState.PRUNED, "equal to an earlier trial, which was pruned")
            return _Ending(TrialState.FAIL, "failed")
        self._values[place] = value
        if len(self._values) == self._jobs:
            mean = statistics.fmean(self._values.values())
            return _Ending(TrialState.COMPLETE, f"{mean:.4g}", mean)
        # Of the first jobs, not of those that were the fastest: these are the same seeds and folds in every trial.
        while self._reported in self._values:
            self._reported += 1
            self.trial.report(statistics.fmean(self._values[i] for i in range(self._reported)), self._reported)
            if self.trial.should_prune():
                return _Ending(TrialState.PRUNED, f"pruned after {self._reported} of {self._jobs} jobs")
        return None


class TrialJobs:
    """The jobs of the trials of `study`, until `n_trials` have ended. They run in `folder`.

    After each trial a line is printed, and `after_trial` is called with all trials of the study that have ended.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        metric: str,
        n_trials: int,
        folder: Path,
        after_trial: Callable[[Sequence[FrozenTrial]], None],
    ) -> None:
        self._study = study
        self._space = space
        self._metric = metric
        self._n_trials = n_trials
        self._folder = folder
        self._after_trial = after_trial
        self._open: list[_OpenTrial] = []
        self._given: dict[int, tuple[_OpenTrial, int]] = {}  # by the job's number: its trial, and its place there
        self._count = 0
        self.rows = {name[len(_ROWS) :]: rows for name, rows in study.user_attrs.items() if name.startswith(_ROWS)}
        self._saved_rows = set(self.rows)
        self._ended = len(read_ended_trials(study))
        self.jobs = (n_trials - self._ended) * len(space.repeats)
        self.examples: Sequence[Sequence[str]] = space.examples()

    def take(self) -> Sequence[JobRequest]:
        """Return one job: the next one of the latest trial, or the first one of a new trial."""
        if not (self._open and self._open[-1].left):
            if self._ended + len(self._open) >= self._n_trials:
                return []
            self._open.append(self._ask())
        trial = self._open[-1]
        place, overrides = trial.left.popleft()
        number = self._count
        self._count += 1
        self._given[number] = trial, place
        return [JobRequest(number, overrides, trial.should_prune)]

    def _ask(self) -> _OpenTrial:
        try:
            trial = self._study.ask(self._space.searched)
        except ValueError as error:  # the study has other distributions
            raise ConfigError(f"the study has other ranges: {error}", ANOTHER) from error
        trial.set_user_attr(FOLDER, str(self._folder.absolute()))
        choices = to_overrides(trial.params)
        jobs = [[*self._space.fixed, *choices, *repeat] for repeat in self._space.repeats]
        return _OpenTrial(trial, choices, jobs, self._metric.rpartition("/")[0])

    def record(self, number: int, result: JobReturn) -> None:
        for key in self.rows.keys() - self._saved_rows:
            self._study.set_user_attr(f"{_ROWS}{key}", self.rows[key])
            self._saved_rows.add(key)
        trial, place = self._given.pop(number)
        ending = trial.record(place, result)
        if ending is None:
            return
        self._open.remove(trial)
        self.jobs -= len(trial.left)  # which are not needed any more
        self._study.tell(trial.trial, ending.value, state=ending.state)
        ended = read_ended_trials(self._study)
        self._ended = len(ended)
        best = find_best_trial(ended, self._study.direction)
        is_best = best is not None and best.number == trial.trial.number
        line = f"trial {self._ended} of {self._n_trials}: {shlex.join(trial.choices)}: {ending.text}"
        print(f"{line}, the best so far" if is_best else line, flush=True)
        self._after_trial(ended)

    def close(self) -> None:
        """End the trials that are open because the search was interrupted: tpe would count them as running for ever."""
        for trial in self._open:
            trial.trial.set_user_attr(INTERRUPTED, value=True)
            self._study.tell(trial.trial, state=TrialState.FAIL)
