"""A study is continued with the overrides and the ranges that it was begun with."""

from pathlib import Path

import optuna
import pytest
from conftest import one_in
from hydra.core.override_parser.overrides_parser import OverridesParser

from exp import sweep
from exp.errors import ExpError
from exp.sweeps.search_space import distribution_of, to_range

HIDDEN, RATE = "model.hidden=int(interval(2,32))", "optimizer.lr=tag(log,interval(0.001,1))"
NAMES = "model.activation=relu,tanh"
LINE = [
    *"hydra/sweeper=optuna hydra.sweeper.storage=study.log dataset=moons epochs=1 figures=false".split(),
    "sweep.workers=0",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a study with one trial."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sweep(*LINE, HIDDEN, RATE, NAMES, "hydra.sweeper.n_trials=1", "hydra.sweep.dir=first")
    return (folder / "study.log").read_bytes()


def saved() -> optuna.Study:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("study.log"))
    return optuna.load_study(study_name="exp", storage=storage)


@pytest.mark.parametrize(
    ("words", "change", "fix"),
    one_in(
        4,
        [
            (
                ["model.hidden=int(interval(2,40))", RATE, NAMES],
                "model.hidden was int(interval(2,32)), is now int(interval(2,40))",
                "'model.hidden=int(interval(2,32))', or another study: hydra.sweeper.study_name=NAME",
            ),
            (
                [HIDDEN, "optimizer.lr=tag(log,interval(0.01,1))", NAMES],
                "optimizer.lr was tag(log,interval(0.001,1)), is now tag(log,interval(0.01,1))",
                "'optimizer.lr=tag(log,interval(0.001,1))', or",
            ),
            ([HIDDEN, RATE], "model.activation was relu,tanh, is not given", "model.activation=relu,tanh, or"),
            ([HIDDEN, RATE, "model.activation=relu,tanh,gelu"], "relu,tanh, is now relu,tanh,gelu", "=relu,tanh, or"),
            ([HIDDEN, RATE, NAMES, "seed=1"], "seed was not given, is now 1", "no seed=, or"),
            ([HIDDEN, RATE, NAMES, "seed=1,2"], "seed was not given, is now 1,2", "no seed=, or"),
            ([HIDDEN, RATE, NAMES, "epochs=2"], "epochs was 1, is now 2", "epochs=1, or"),
            (
                [HIDDEN, RATE, NAMES, "sweep.metric=accuracy/val"],
                "sweep.metric was loss/val, is now accuracy/val",
                "sweep.metric=loss/val, or",
            ),
            ([HIDDEN, RATE, NAMES, "metric=accuracy"], "metric was not given, is now accuracy", "no metric=, or"),
            (
                [HIDDEN, "optimizer.lr=0.1", NAMES, "epochs=2"],
                "epochs was 1, is now 2; optimizer.lr was tag(log,interval(0.001,1)), is now 0.1",
                "epochs=1 'optimizer.lr=tag(log,interval(0.001,1))', or",
            ),
        ],
    ),
)
def test_a_study_is_not_continued_with_other_overrides_or_ranges(words: list[str], change: str, fix: str, begun: bytes):
    Path("study.log").write_bytes(begun)
    keys = {word.partition("=")[0] for word in words}
    kept = [word for word in LINE if word.partition("=")[0] not in keys]
    with pytest.raises(ExpError) as refused:
        sweep(*kept, *words, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=second")
    assert refused.value.problem.startswith("cannot continue the study exp: ")
    assert change in refused.value.problem
    assert fix in refused.value.fix
    assert len(saved().trials) == 1
    assert not Path("second").exists()


def test_the_order_of_the_overrides_does_not_matter(begun: bytes):
    Path("study.log").write_bytes(begun)
    line = [NAMES, RATE, *reversed(LINE), HIDDEN]
    assert len(sweep(*line, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=second").table) == 1


def test_a_study_whose_first_command_was_refused_begins_with_another():
    with pytest.raises(ExpError, match="r2"):
        sweep(*LINE, RATE, NAMES, "sweep.metric=r2/val", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=first")
    sweep(*LINE, RATE, "model.activation=relu,gelu", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=first")
    assert saved().direction is optuna.study.StudyDirection.MINIMIZE
    assert [trial.state.name for trial in saved().trials] == ["COMPLETE"]


@pytest.mark.parametrize(
    "text",
    [
        "interval(0.01,1)",
        "tag(log,interval(0.0001,1))",
        "int(interval(1,10))",
        "int(tag(log,interval(1,100)))",
        "range(0,9,4)",
        "relu,tanh",
        "[1],[2,3]",
    ],
)
def test_a_distribution_is_described_as_it_is_typed(text: str):
    assert to_range(distribution_of(OverridesParser.create().parse_override(f"a={text}"))) == text
