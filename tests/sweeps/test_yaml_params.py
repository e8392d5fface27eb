"""A sweep can be written in YAML: `hydra.sweeper.params` in a preset."""

import shlex
import statistics
from pathlib import Path

import pytest

from exp import sweep, train
from exp.errors import ExpError
from exp.results import search_json
from exp.results.best_job import find_best
from exp.results.refit_line import refit_overrides

PRESET = """# @package _global_
defaults:
  - override /dataset: xor
epochs: 1
figures: false
hydra:
  sweeper:
    params:
"""
LINE = ["--config-dir", "own", "experiment=sweepy", "sweep.workers=0", "hydra.sweep.dir=sw"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def write(params: str, preset: str = PRESET) -> None:
    path = Path("own/experiment/sweepy.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(preset + "".join(f"      {line}\n" for line in params.splitlines()))


@pytest.mark.slow
def test_its_jobs_are_those_of_the_typed_sweep():
    write('optimizer.lr: 0.01,0.1\nmodel.hidden: "[4],[8,8]"')
    table = sweep(*LINE).table
    typed = ["dataset=xor", "epochs=1", "figures=false", "sweep.workers=0", "hydra.sweep.dir=typed"]
    expected = sweep(*typed, "optimizer.lr=0.01,0.1", "model.hidden=[4],[8,8]").table
    assert list(table["loss/val"]) == list(expected["loss/val"])
    assert list(table["model.hidden"]) == list(expected["model.hidden"])
    assert [str(row) for row in table["optimizer.lr"]] == ["0.01", "0.01", "0.1", "0.1"]


@pytest.mark.slow
def test_it_is_resumed_and_a_typed_key_replaces_its_own():
    write("optimizer.lr: [0.01, 0.1]\nseed: 1,2")
    assert len(sweep(*LINE, "seed=5").table) == 2
    write("optimizer.lr: [0.01, 0.1, 0.2]")
    line = [word for word in LINE if not word.startswith("hydra.sweep.dir")]
    resumed = sweep(*line, "seed=5", "sweep.resume=sw").table
    assert [str(row) for row in resumed["optimizer.lr"]] == ["0.01", "0.1", "0.2"]


SEARCH = PRESET.replace("params:", "n_trials: 2\n    sampler: random\n    params:")


def test_it_can_hold_a_search():
    write("optimizer.lr: interval(0.01,0.1)", SEARCH)
    assert len(sweep(*LINE, "hydra/sweeper=optuna").table) == 2


@pytest.mark.slow
def test_the_lines_of_its_best_trial_can_be_run(tmp_path: Path):
    """They name the preset, which has the settings of the search."""
    write("optimizer.lr: interval(0.01,0.1)", SEARCH)
    sweep(*LINE, "hydra/sweeper=optuna", "seed=1,2")
    record = search_json.read(tmp_path / "sw")
    assert record is not None
    words = shlex.split(record.best_command)[4:]
    assert "experiment=sweepy" in words
    again = sweep(*words, "sweep.workers=0", "hydra.sweep.dir=again").table
    assert statistics.fmean(again["loss/val"]) == pytest.approx(record.best_value)
    best = find_best(Path("sw"))
    run = train(*best.config_dir, *best.overrides, "seed=1", "hydra.run.dir=run")
    assert run.final["val"]["loss"] == again["loss/val"][0]
    (printed,) = [word for word in refit_overrides(best) if word.startswith("optimizer.lr")]
    assert printed in words
    assert train("resume=run", "epochs=2").folder == run.folder


@pytest.mark.parametrize(
    ("params", "preset", "message"),
    [
        ("optimizer.lrr: 0.01,0.1", PRESET, "optimizer.lrr"),
        pytest.param(
            "hydra.job.chdir: true,false",
            PRESET,
            "hydra.sweeper.params: hydra.job.chdir is one of Hydra's settings",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "optimizer.lr: 0.01,0.1", SEARCH, "hydra.sweeper.(n_trials|sampler) needs a search", marks=pytest.mark.slow
        ),
        pytest.param(
            "",
            "epochs: 3\n",
            "sweepy.yaml: its keys are not below 'experiment'\n  try: its first line: # @package _global_",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_a_preset_cannot_do_is_an_error(params: str, preset: str, message: str):
    write(params, preset)
    with pytest.raises(ExpError, match=message):
        sweep(*LINE, "seed=1,2")
    assert not Path("sw/0").exists()
