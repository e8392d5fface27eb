"""search.json, and what the terminal and the page show of it."""

import json
import shlex
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from exp.reports.scatter import Point, scatter
from exp.results import search_json
from exp.results.search_json import SearchRecord
from exp.sweeps.search_record import importances, summarize
from exp.sweeps.search_space import SearchSpace, read_space

SEARCH = "-m hydra/sweeper=optuna hydra.sweeper.sampler=random dataset=moons epochs=2 figures=false".split()
HERE = ["sweep.workers=0", "hydra.sweep.dir=sweep"]
RATE, HIDDEN = "optimizer.lr=tag(log,interval(0.01,1))", "model.hidden=int(interval(2,32))"


def space_of(*words: str) -> SearchSpace:
    return read_space(OverridesParser.create().parse_overrides(list(words)))


def study_of(*values: tuple[float, float, float]) -> optuna.Study:
    """Return a study of trials (a, b, value)."""
    study = optuna.create_study()
    uniform = optuna.distributions.FloatDistribution(0, 1)
    for a, b, value in values:
        study.add_trial(
            optuna.create_trial(params={"a": a, "b": b}, distributions={"a": uniform, "b": uniform}, value=value)
        )
    return study


@pytest.mark.slow
def test_the_best_line_is_the_line_that_ran(exp, tmp_path: Path):
    done = exp(*SEARCH, RATE, HIDDEN, "hydra.sweeper.n_trials=8", "hydra.sweeper.pruner=none", *HERE)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "sweep/search.json").read_text())
    assert [record[name] for name in ("metric", "direction", "trials", "log")] == [
        "loss/val",
        "minimize",
        8,
        ["optimizer.lr"],
    ]
    assert f"search    best loss/val {record['best_value']:.4g}: {record['best_command']}\n" in done.stdout
    words = shlex.split(record["best_command"])
    assert words[:3] == ["python", "-m", "exp"]
    assert all(len(word.partition("=")[2].lstrip("0.")) <= 4 for word in words if word.startswith("optimizer.lr="))
    assert exp(*words[3:], "hydra.run.dir=alone").returncode == 0
    alone = json.loads((tmp_path / "alone/summary.json").read_text())
    assert alone["final"]["val"]["loss"] == record["best_value"]
    assert set(record["importances"]) == {"optimizer.lr", "model.hidden"}
    assert f"importance: {next(iter(record['importances']))} " in done.stdout
    page = (tmp_path / "sweep/report.html").read_text()
    assert "Best trial of 8" in page
    assert "loss/val against optimizer.lr (log)" in page


@pytest.mark.slow
def test_a_continued_search_updates_the_records_of_its_study(exp, tmp_path: Path):
    line = [*SEARCH, RATE, "sweep.workers=0", "hydra.sweeper.storage=study.log"]
    folders = [tmp_path / name for name in "abc"]
    for trials, folder in zip((3, 4, 6), folders, strict=True):
        done = exp(*line, f"hydra.sweeper.n_trials={trials}", f"hydra.sweep.dir={folder.name}")
        assert done.returncode == 0, done.stderr
        if folder.name == "a":
            (tmp_path / "a/search.json").unlink()  # as if it had been killed in its first trial
    records = [json.loads((folder / "search.json").read_text()) for folder in folders]
    assert records[0] == records[1] == records[2]
    losses = {
        folder.name: [json.loads(path.read_text()).get("final", {}) for path in folder.glob("?/summary.json")]
        for folder in folders
    }
    best = {name: min(one["val"]["loss"] for one in final if one) for name, final in losses.items()}
    place = min(best, key=lambda name: best[name])
    assert records[0]["best_folder"] == str(tmp_path / place)
    assert records[0]["trials"] == 6
    lines = {exp("best", name).stdout.splitlines()[-1] for name in "abc"}
    assert lines == {records[0]["best_command"]}


@pytest.mark.slow
def test_the_value_of_a_trial_is_the_mean_of_its_seeds_and_folds(exp, tmp_path: Path):
    line = [RATE, "seed=1,2", "folds=3", "hydra.sweeper.n_trials=2", "hydra.sweeper.pruner=none", "sweep.workers=2"]
    done = exp(*SEARCH, *line, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "sweep/search.json").read_text())
    jobs = [json.loads(path.read_text()) for path in (tmp_path / "sweep").glob("*/summary.json")]
    assert len(jobs) == 12
    rates = {word for job in jobs for word in job["overrides"] if word.startswith("optimizer.lr=")}
    means = {rate: sum(job["final"]["val"]["loss"] for job in jobs if rate in job["overrides"]) / 6 for rate in rates}
    assert record["best_value"] == pytest.approx(min(means.values()), rel=1e-12)
    best = min(means, key=lambda rate: means[rate])
    assert record["best_command"].split()[3:] == [
        *("-m", "dataset=moons", "epochs=2", "figures=false", "folds=3", best, "seed=1,2")
    ]


def test_the_record_of_an_unfinished_search_has_no_best_trial(tmp_path: Path):
    record = summarize([], optuna.study.StudyDirection.MAXIMIZE, space_of(RATE), "accuracy/val", [])
    assert record == SearchRecord("accuracy/val", "maximize", 0, log=["optimizer.lr"])
    search_json.write(tmp_path, record)
    assert search_json.read(tmp_path) == record
    for damaged in ("", "{}", "[]", json.dumps({**json.loads((tmp_path / "search.json").read_text()), "log": 3})):
        (tmp_path / "search.json").write_text(damaged)
        assert search_json.read(tmp_path) is None


def test_importances_are_shares_of_the_variation():
    """The value is a + b/3 on a grid: the variances of its parts are as 9 to 1."""
    grid = [place / 9 for place in range(10)]
    found = importances(study_of(*((a, b, a + b / 3) for a in grid for b in grid)))
    assert list(found) == ["a", "b"]
    assert found["a"] == pytest.approx(0.9, abs=0.03)
    assert found["b"] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [(place / 7, place / 7, place) for place in range(7)],  # too few
        [(place / 8, 0.5, place) for place in range(9)],  # one key with one value
        [(place / 8, place / 8, 2.0) for place in range(9)],  # equal results
    ],
)
def test_importances_that_cannot_be_known_are_left_out(trials: list[tuple[float, float, float]]):
    assert importances(study_of(*trials)) == {}


def test_a_trial_with_an_infinite_value_does_not_stop_the_importances():
    trials = [(place / 20, (7 * place % 20) / 20, place) for place in range(20)]
    assert set(importances(study_of(*trials, (0.5, 0.5, float("inf"))))) == {"a", "b"}


def test_a_key_that_is_searched_on_a_log_scale_has_a_log_axis():
    points = [Point(str(value), value, "x/", "job") for value in (1.0, 2.0, 4.0)]
    left, middle, right = (mark.x for mark in scatter("optimizer.lr", "loss/val", points, is_log=True).marks)
    assert middle - left == pytest.approx(right - middle)
    left, middle, right = (mark.x for mark in scatter("optimizer.lr", "loss/val", points).marks)
    assert right - middle == pytest.approx(2 * (middle - left))


def test_a_log_axis_with_many_values_is_labelled_at_powers_of_ten():
    points = [Point(str(value), 1.0, "x/", "job") for value in (0.0005, 0.002, 0.003, 0.02, 0.03, 0.04, 0.2, 0.5, 3)]
    texts = [label.text for label in scatter("optimizer.lr", "loss/val", points, is_log=True).labels]
    assert texts[1:-1] == ["0.001", "0.01", "0.1", "1"]
