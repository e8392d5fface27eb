"""The trials of a search: which jobs they ask for, and how results end them. Optuna without runs."""

import math
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from exp.errors import ConfigError
from exp.sweeps.search_space import SearchSpace, read_space
from exp.sweeps.short_numbers import ShortNumbers, shorten
from exp.sweeps.trials import TrialJobs

RATE = "optimizer.lr=tag(log,interval(0.001,1))"


def space_of(*words: str) -> SearchSpace:
    return read_space(OverridesParser.create().parse_overrides(list(words)))


def jobs_of(space: SearchSpace, n_trials: int, pruner: optuna.pruners.BasePruner | None = None) -> TrialJobs:
    sampler = ShortNumbers(RandomSampler(seed=0))
    return TrialJobs(
        optuna.create_study(sampler=sampler, pruner=pruner), space, "loss/val", n_trials, Path("sweep"), lambda _: None
    )


def take(jobs: TrialJobs) -> tuple[int, list[str]]:
    (request,) = jobs.take()
    return request.number, list(request.overrides)


def finish(jobs: TrialJobs, number: int, value: float, folder: Path = Path("nowhere")) -> None:
    result = JobReturn(status=JobStatus.COMPLETED, working_dir=str(folder))
    result.return_value = value
    jobs.record(number, result)


def test_a_trial_begins_when_another_ends():
    jobs = jobs_of(space_of(RATE), 4)
    first, second = take(jobs)[0], take(jobs)[0]
    for value in (0.5, 0.4):
        finish(jobs, second, value)
        second = take(jobs)[0]
    assert second == 3
    assert jobs.take() == []  # the first one is still running, and the other three are given
    finish(jobs, second, 0.3)
    assert jobs.take() == []
    finish(jobs, first, 0.2)
    assert [trial.value for trial in jobs._study.trials] == [0.2, 0.5, 0.4, 0.3]


def test_seeds_and_folds_are_jobs_of_a_trial_and_not_searched():
    space = space_of("dataset=moons", RATE, "seed=3,4", "fold=range(0,3)", "sweep.workers=2")
    assert list(space.searched) == ["optimizer.lr"]
    assert space.settings == ["dataset=moons"]
    assert space.repeated == ["seed=3,4", "fold=range(0,3)"]
    jobs = jobs_of(space, 2)
    assert jobs.jobs == 12
    given = [take(jobs)[1] for _ in range(12)]
    assert jobs.take() == []
    assert [line[-2:] for line in given[:6]] == [
        [f"seed={seed}", f"fold={fold}"] for seed in (3, 4) for fold in range(3)
    ]
    rates = [next(word for word in line if word.startswith("optimizer.lr=")) for line in given]
    assert [rates.count(rate) for rate in dict.fromkeys(rates)] == [6, 6]
    for number, value in enumerate(range(12)):
        finish(jobs, number, value)
    assert [trial.value for trial in jobs._study.trials] == [2.5, 8.5]


def test_a_search_over_seeds_alone_and_an_interval_of_seeds_are_refused():
    with pytest.raises(ConfigError, match="no key with several values"):
        space_of("seed=1,2")
    with pytest.raises(
        ConfigError, match="seed=int\\(interval\\(0,5\\)\\): a trial is averaged over its values of seed"
    ):
        space_of(RATE, "seed=int(interval(0,5))")


def test_a_trial_fails_with_one_of_its_jobs_and_the_jobs_left_are_not_given():
    jobs = jobs_of(space_of(RATE, "seed=0,1,2"), 2)
    running = take(jobs)[0], take(jobs)[0]
    finish(jobs, running[0], math.nan)
    third, overrides = take(jobs)
    assert overrides[-1] == "seed=0"  # of the next trial
    assert jobs.jobs == 5
    finish(jobs, running[1], 0.5)  # of the trial that has failed: of no account
    finish(jobs, third, 1.0)
    for value in (2.0, 6.0):
        finish(jobs, take(jobs)[0], value)
    assert jobs.take() == []
    assert [(trial.state, trial.value) for trial in jobs._study.trials] == [
        (TrialState.FAIL, None),
        (TrialState.COMPLETE, 3.0),
    ]


def test_a_trial_is_pruned_by_the_mean_of_its_first_jobs_whichever_ends_first():
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0)
    jobs = jobs_of(space_of(RATE, "seed=0,1,2,3"), 3, pruner)
    for value in (1.0, 3.0, 5.0, 7.0):
        finish(jobs, take(jobs)[0], value)
    assert jobs._study.trials[0].intermediate_values == {1: 1.0, 2: 2.0, 3: 3.0}
    slow, fast = jobs.take()[0], jobs.take()[0]
    finish(jobs, fast.number, 9.0)
    assert jobs._study.trials[1].intermediate_values == {}  # the first seed has not ended
    assert slow.should_prune is not None
    assert not slow.should_prune(1, {"loss": 99.0})  # its epochs are not reported
    third = jobs.take()[0]
    finish(jobs, slow.number, 0.5)  # better than 1.0, and 4.75 is worse than 2.0: but the best of the two counts
    assert jobs._study.trials[1].intermediate_values == {1: 0.5, 2: 4.75}
    finish(jobs, third.number, 1.0)
    finish(jobs, take(jobs)[0], 1.0)
    worse, running = jobs.take()[0], jobs.take()[0]
    finish(jobs, worse.number, 1.5)
    assert jobs._study.trials[2].state is TrialState.PRUNED
    assert running.should_prune is not None
    assert running.should_prune(1, {"loss": 0.1})  # it is running, and no longer needed
    assert jobs.take() == []


def test_an_interrupted_trial_is_not_counted(tmp_path: Path):
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=storage, study_name="a")
    jobs = TrialJobs(study, space_of(RATE), "loss/val", 2, Path("sweep"), lambda _: None)
    finish(jobs, take(jobs)[0], 0.5)
    take(jobs)
    jobs.close()
    again = TrialJobs(
        optuna.load_study(storage=storage, study_name="a"), space_of(RATE), "loss/val", 2, Path("sweep"), lambda _: None
    )
    assert again.jobs == 1
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL]


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.044303752452182654, 0.001, 1, 0.0443),
        (0.99999, 0.1, 0.99999, 0.99999),  # 1.0 is outside
        (0.99996, 0.1, 1, 1.0),
        (0.00012341, 0.00012341, 1, 0.00012341),  # 0.0001234 is outside
        (123456.7, 1, 1e6, 123500.0),
        (-0.0123456, -1, 1, -0.01235),
        (1000.123456, 1000, 1000.5, 1000.123),  # four digits would leave one value
        (0.0, -1, 1, 0.0),
        (0.5, 0.5, 0.5, 0.5),
    ],
)
def test_a_number_is_rounded_within_its_range(value: float, low: float, high: float, expected: float):
    assert shorten(value, FloatDistribution(low, high)) == expected
