"""A search with optuna: its distributions, its study, and pruning."""

import csv
import json
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import forking
import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from exp.errors import ConfigError
from exp.sweeps.search_space import distribution_of

SLOW = pytest.mark.slow  # similar to a case that is not slow
LINE = "-m hydra/sweeper=optuna dataset=moons epochs=2 figures=false model.activation=relu,tanh".split()
RATE = "optimizer.lr=tag(log,interval(0.0001,10))"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=interval(0.01,1)", FloatDistribution(0.01, 1)),
        ("a=tag(log,interval(1e-4,1))", FloatDistribution(1e-4, 1, log=True)),
        ("a=int(interval(1,10))", IntDistribution(1, 10)),
        ("a=int(tag(log,interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("a=range(1,10)", IntDistribution(1, 9)),
        ("a=range(0,10,4)", IntDistribution(0, 8, step=4)),
        ("a=range(10,1,-2)", IntDistribution(2, 10, step=2)),
        ("a=tag(log,range(1,10))", IntDistribution(1, 9, log=True)),
        ("a=range(0,1,0.25)", CategoricalDistribution(["0.0", "0.25", "0.5", "0.75"])),
        ("a=choice(x,y)", CategoricalDistribution(["x", "y"])),
        ("a=[1],[2,3]", CategoricalDistribution(["[1]", "[2,3]"])),
    ],
)
def test_an_override_becomes_a_distribution(override: str, expected: object):
    assert distribution_of(OverridesParser.create().parse_override(override)) == expected


def test_a_single_value_is_not_a_distribution():
    with pytest.raises(ConfigError, match="needs several values"):
        distribution_of(OverridesParser.create().parse_override("a=3"))


@pytest.mark.parametrize(
    ("storage", "several"), [("study.log", (0, 0)), pytest.param("sqlite:///study.db", (1, 2), marks=pytest.mark.slow)]
)
def test_a_search_with_a_storage_continues_its_study(exp, tmp_path: Path, storage: str, several: tuple[int, int]):
    for trials, workers in zip((3, 6), several, strict=True):
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
    assert len(study.trials) == 6
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 6
    jobs = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/*/*/*/summary.json")]
    losses = sorted(job["final"]["val"]["loss"] for job in jobs)
    assert losses == sorted(trial.value for trial in study.trials)
    assert study.best_trial.params["optimizer.lr"] > 0.1  # too small a rate learns nothing in two epochs


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_median_pruner_stops_runs(exp, tmp_path: Path, workers: int):
    """The median rule is computed here from metrics.csv. Pruning does not change the runs that finish."""
    line = "-m hydra/sweeper=optuna dataset=moons epochs=10 figures=false hydra.sweep.dir=sweep".split()
    done = exp(*line, RATE, "hydra.sweeper.n_trials=10", "hydra.sweeper.sampler=random", f"sweep.workers={workers}")
    assert done.returncode == 0, done.stderr
    jobs = [tmp_path / "sweep" / str(number) for number in range(10)]
    status = [json.loads((job / "summary.json").read_text())["status"] for job in jobs]
    losses = [val_losses(job) for job in jobs]
    for number in range(10):
        ended = [losses[other] for other in range(number) if status[other] == "finished"]
        worse = [
            epoch
            for epoch in range(2, 10)  # from 10 // 5
            if len(ended) >= 5 and min(losses[number][1 : epoch + 1]) > statistics.median(loss[epoch] for loss in ended)
        ][:1]
        assert (status[number] == "pruned") == bool(worse)
        assert len(losses[number]) == (worse[0] if worse else 10) + 1
    assert {"finished", "pruned"} == set(status)
    assert re.search(rf"{status.count('pruned')} more jobs? pruned by the search", done.stdout)
    title = f"sweep: {status.count('finished')} of {len(status)} jobs finished, {status.count('pruned')} pruned"
    assert f"<title>{title}</title>" in (jobs[0].parent / "report.html").read_text()
    pruned = jobs[status.index("pruned")]
    assert "pruned: the search stopped this run" in (pruned / "exp.log").read_text()
    alone = json.loads((jobs[0] / "summary.json").read_text())["overrides"]
    assert exp(*alone, "hydra.run.dir=alone").returncode == 0
    assert val_losses(tmp_path / "alone") == losses[0]


@pytest.mark.slow
def test_a_stopped_search_prints_how_to_resume(exp, tmp_path: Path):
    line = ["hydra/sweeper=optuna", "dataset=moons", "batching=full", "epochs=40000", "figures=false", RATE]
    for storage in ([], ["hydra.sweeper.storage=study.log"]):
        command = [sys.executable, "-m", "exp", "-m", *line, *storage, "hydra.sweep.dir=sweep"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        while not (tmp_path / "sweep/0/metrics.csv").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate()
        assert process.returncode == 130
        if storage:
            last = next(text for text in stdout.splitlines() if text.startswith("interrupted and saved; to resume: "))
            arguments = shlex.split(last.partition("python -m exp ")[2])
            again = exp(*arguments, "hydra.sweeper.n_trials=1")
            assert again.returncode == 0, again.stderr
            assert "trial 1 of 1: optimizer.lr=" in again.stdout
        else:
            assert "a search can only be resumed with hydra.sweeper.storage" in stdout
        shutil.rmtree(tmp_path / "sweep")


@pytest.mark.slow
@pytest.mark.parametrize("storage", [["hydra.sweeper.storage=mine.log"], []])
def test_each_advice_on_a_killed_search_is_a_line_that_continues_it(exp, tmp_path: Path, storage: list[str]):
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", *storage, "dataset=moons", "figures=false", RATE]
    line = ["-m", *words, "epochs=3000", "batching=full", "hydra.sweep.dir=sweep", "sweep.workers=0"]
    process = forking.begin("exp", *line, folder=tmp_path)
    while not (tmp_path / "sweep/0/metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    advice: set[str] = set()
    for typed in (["best", "sweep"], ["-m", "sweep.resume=sweep"], ["resume=sweep"], ["sweep"]):
        done = exp(*typed)
        assert done.returncode == 1
        advice.add(done.stderr.partition("  try: python -m exp ")[2])
    (text,) = advice
    assert set(shlex.split(text)) == {*line} - {"hydra.sweep.dir=sweep"}
    done = exp(*shlex.split(text))
    assert done.returncode == 0, done.stderr
    assert "trial 3 of 3" in done.stdout
    refused = exp(*line)
    assert "\n  try: hydra.sweep.dir=sweep-2\n" in refused.stderr


SLOW_DATASET = """
import time
from pathlib import Path
from sklearn.datasets import make_moons

def rows():
    '''The first job waits until six others have ended.'''
    try:
        Path("first").touch(exist_ok=False)
        while sum("finished" in path.read_text() for path in Path("sweep").glob("*/summary.json")) < 6:
            time.sleep(0.01)
    except FileExistsError:
        pass
    return make_moons(100, random_state=0)
"""


@pytest.mark.slow
def test_other_trials_run_while_one_is_slow(tmp_path: Path):
    """With batches of two trials, the first one would wait for ever."""
    (tmp_path / "mine/dataset").mkdir(parents=True)
    (tmp_path / "mine/slow.py").write_text(SLOW_DATASET)
    (tmp_path / "mine/dataset/slow.yaml").write_text("_target_: slow.rows\nsplit: [.6, .2, .2]\nscaler: standard\n")
    line = "--config-dir mine -m hydra/sweeper=optuna dataset=slow epochs=1 figures=false hydra.sweep.dir=sweep".split()
    more = ["hydra.sweeper.n_trials=8", "sweep.workers=2"]
    done = forking.begin("exp", *line, RATE, *more, folder=tmp_path, EXP_ALLOW="slow").completed()
    assert done.returncode == 0, done.stderr
    ended = {
        job: json.loads((tmp_path / f"sweep/{job}/summary.json").read_text())["status"] for job in map(str, range(8))
    }
    assert set(ended.values()) == {"finished"}


def val_losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["split"] == "val"]


@pytest.mark.slow
def test_pruning_uses_the_metric_and_can_be_switched_off(exp, tmp_path: Path):
    line = "-m hydra/sweeper=optuna dataset=moons epochs=5 figures=false hydra.sweeper.storage=study.log".split()
    for pruner in ("hyperband", "none"):
        study = [f"hydra.sweeper.pruner={pruner}", f"hydra.sweeper.study_name={pruner}", "sweep.metric=accuracy/val"]
        done = exp(*line, RATE, *study, "hydra.sweeper.n_trials=8", "hydra.sweeper.sampler=random")
        assert done.returncode == 0, done.stderr
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log"))
    storage = optuna.storages.JournalStorage(backend)
    hyperband, none = (optuna.load_study(study_name=name, storage=storage).trials for name in ("hyperband", "none"))
    assert {trial.state.name for trial in hyperband} == {"COMPLETE", "PRUNED"}
    assert {trial.state.name for trial in none} == {"COMPLETE"}
    assert all(0 <= value <= 1 for trial in none for value in trial.intermediate_values.values())
    assert [list(trial.intermediate_values) for trial in none] == [[1, 2, 3, 4]] * 8


def test_a_trial_that_diverges_does_not_stop_the_search(exp, tmp_path: Path):
    line = (
        "-m hydra/sweeper=optuna dataset=diabetes epochs=1 figures=false sweep.workers=0 hydra.sweep.dir=sweep".split()
    )
    done = exp(*line, "optimizer.lr=1e-6,1e9", "hydra.sweeper.sampler=random", "hydra.sweeper.n_trials=4")
    assert done.returncode == 0, done.stderr
    assert ": failed" in done.stdout
    assert "the best so far" in done.stdout


@pytest.mark.slow
def test_a_study_has_one_metric_and_one_set_of_overrides(exp):
    search = [*LINE, RATE, "hydra.sweeper.storage=study.log", "hydra.sweeper.n_trials=2"]
    assert exp(*search).returncode == 0
    again = exp(*search)
    assert again.returncode == 0
    assert "the study already has 2 trials; to continue: hydra.sweeper.n_trials=4" in again.stdout
    for more, message in (
        (["seed=5"], "seed was not given, is now 5"),
        (["sweep.metric=accuracy/val"], "sweep.metric was loss/val, is now accuracy/val"),
    ):
        refused = exp(*search, *more)
        assert refused.returncode == 1
        assert message in refused.stderr
        assert "hydra.sweeper.study_name=NAME" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1"], "the search has no key with several values"),
        pytest.param(["optimizer.lr=interval(1,0.1)"], "optimizer.lr=interval(1,0.1): ", marks=SLOW),
        pytest.param(["optimizer.lr=tag(log,interval(0,1))"], "optimizer.lr=tag(log,interval(0,1)): ", marks=SLOW),
        pytest.param(
            ["optimizer.lr=tag(lg,interval(0.1,1))"], "unknown tag lg (available: log)", marks=pytest.mark.slow
        ),
        pytest.param(
            ["optimizer.lr=interval(0.1,inf)"],
            "optimizer.lr must be a number > 0 and <= 1000000000, got inf",
            marks=pytest.mark.slow,
        ),
        pytest.param(["optimizer.lr=interval(0.1,1e12)"], "<= 1000000000, got 1e+12", marks=SLOW),
        pytest.param(
            ["sweep.workers=interval(1,2)"], "a setting of the search cannot be searched", marks=pytest.mark.slow
        ),
        pytest.param(
            [RATE, "hydra.sweeper.storage=nodir/study.log"],
            "hydra.sweeper.storage=nodir/study.log: FileNotFoundError",
            marks=pytest.mark.slow,
        ),
        ([RATE, "sweep.metric=accuracy/test"], "sweep.metric=accuracy/test: a search must not choose by the test rows"),
        pytest.param([RATE, "dataset.split=[.8,0,.2]", "epochs=1"], "the jobs do not have validation rows", marks=SLOW),
        pytest.param(
            [RATE, "model.hidden=[4],[8],[abc]"],
            "model.hidden must be an integer >= 1, or a list of them, got [abc]",
            marks=pytest.mark.slow,
        ),
        pytest.param([RATE, "optimizer=sgd,adom"], "optimizer=adom: unknown optimizer 'adom'", marks=SLOW),
        pytest.param([RATE, "sweep.on_error=stop"], "a search continues after failed runs", marks=pytest.mark.slow),
        pytest.param(["epochs=range(5,1)"], "epochs=range(5,1): the range is empty", marks=pytest.mark.slow),
        pytest.param(
            ["optimizer.lr=tag(log,range(0,1,0.1))"], "a logarithmic range needs integer steps", marks=pytest.mark.slow
        ),
        pytest.param([RATE, "hydra.sweeper.seed=-5"], "hydra.sweeper.seed must be an integer >= 0, got -5", marks=SLOW),
        pytest.param(
            [RATE, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be an integer >= 1, got 0", marks=SLOW
        ),
        pytest.param([RATE, "sweep.resume=outputs/a"], "no sweep is there", marks=pytest.mark.slow),
        pytest.param(
            [RATE, "hydra.sweeper.sampler=tea"], "must be one of tpe, random, got tea", marks=pytest.mark.slow
        ),
        pytest.param(
            [RATE, "hydra.sweeper.pruner=prune"], "must be one of median, hyperband, none, got prune", marks=SLOW
        ),
        pytest.param(
            [RATE, "hydra.sweeper.storage=sqlite:////no/such/folder/study.db"],
            "hydra.sweeper.storage=sqlite",
            marks=SLOW,
        ),
    ],
)
def test_wrong_settings_are_errors(exp, words: list[str], message: str, tmp_path: Path):
    workers = [] if "sweep.workers" in words[0] else ["sweep.workers=0"]  # a worker would import torch for nothing
    done = exp("-m", "hydra/sweeper=optuna", *words, *workers)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("outputs/*/*/0")) or "validation rows" in message
