"""A search: what it chooses from, that it goes on, and that it finds what is there to be found."""

import json
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from exp.errors import ConfigError
from exp.sweep.search import distribution_of

LINE = "-m hydra/sweeper=optuna dataset=moons epochs=2 figures=false model.activation=relu,tanh".split()
RATE = "optimizer.lr=tag(log,interval(0.0001,10))"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a=interval(0.01,1)", FloatDistribution(0.01, 1)),
        ("a=tag(log,interval(1e-4,1))", FloatDistribution(1e-4, 1, log=True)),
        ("a=int(interval(1,10))", IntDistribution(1, 10)),
        ("a=int(tag(log,interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("a=range(1,10)", IntDistribution(1, 9)),
        ("a=range(0,10,4)", IntDistribution(0, 8, step=4)),
        ("a=range(0,1,0.25)", CategoricalDistribution(["0.0", "0.25", "0.5", "0.75"])),
        ("a=choice(x,y)", CategoricalDistribution(["x", "y"])),
        ("a=[1],[2,3]", CategoricalDistribution(["[1]", "[2,3]"])),
    ],
)
def test_what_is_typed_is_what_is_searched(typed: str, expected: object):
    assert distribution_of(OverridesParser.create().parse_override(typed)) == expected


def test_a_value_is_no_space():
    with pytest.raises(ConfigError, match="nothing to choose"):
        distribution_of(OverridesParser.create().parse_override("a=3"))


@pytest.mark.parametrize("storage", ["study.log", pytest.param("sqlite:///study.db", marks=pytest.mark.slow)])
def test_a_search_goes_on_where_it_was(exp, tmp_path: Path, storage: str):
    for trials, workers in ((4, 1), (9, 2)):
        place = [f"hydra.sweeper.storage={storage}", f"hydra.sweeper.n_trials={trials}", f"sweep.workers={workers}"]
        done = exp(*LINE, RATE, *place)
        assert done.returncode == 0, done.stderr
        assert f"trial {trials} of {trials}: model.activation=" in done.stdout
    opened = storage if "://" in storage else None
    if opened is None:
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / storage))
        opened = optuna.storages.JournalStorage(backend)
    else:
        opened = f"sqlite:///{tmp_path}/study.db"
    study = optuna.load_study(study_name="exp", storage=opened)
    assert len(study.trials) == 9
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 9
    jobs = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/*/*/summary.json")]
    losses = sorted(job["final"]["val"]["loss"] for job in jobs)
    assert losses == sorted(trial.value for trial in study.trials)
    assert study.best_trial.params["optimizer.lr"] > 0.1  # too small a rate learns nothing in two epochs


def test_a_trial_that_diverges_is_not_the_end(exp, tmp_path: Path):
    line = "-m hydra/sweeper=optuna dataset=diabetes epochs=1 figures=false hydra.sweep.dir=sweep".split()
    done = exp(*line, "optimizer.lr=1e-6,1e9", "hydra.sweeper.sampler=random", "hydra.sweeper.n_trials=4")
    assert done.returncode == 0, done.stderr
    assert ": failed" in done.stdout
    assert "; the best is" in done.stdout


def test_a_study_compares_like_with_like(exp):
    search = [*LINE, RATE, "hydra.sweeper.storage=study.log", "hydra.sweeper.n_trials=2"]
    assert exp(*search).returncode == 0
    again = exp(*search)
    assert again.returncode == 0
    assert "the study holds 2 trials; to go on: hydra.sweeper.n_trials=4" in again.stdout
    for more, said in ((["seed=5"], "was begun with"), (["sweep.measure=accuracy/val"], "was begun with loss/val")):
        refused = exp(*search, *more)
        assert refused.returncode == 1
        assert said in refused.stderr
        assert "hydra.sweeper.study_name=NAME" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=1"], "the search has nothing to choose"),
        ([RATE, "hydra.sweeper.sampler=tea"], "must be one of tpe, random, qmc, not tea"),
        ([RATE, "hydra.sweeper.storage=sqlite:////no/such/folder/study.db"], "hydra.sweeper.storage=sqlite"),
    ],
)
def test_wrong_settings(exp, words: list[str], said: str):
    done = exp("-m", "hydra/sweeper=optuna", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
