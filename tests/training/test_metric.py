"""metric=: one metric of the validation rows decides best.pt, early stopping, the plateau and the order of jobs."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import config_of
from optuna.study import StudyDirection
from torch.optim.lr_scheduler import ReduceLROnPlateau

from exp.config.metric_names import is_higher_better
from exp.errors import ConfigError
from exp.results import checkpoints
from exp.training.build import build
from exp.training.state import TrainingState

PATIENCE = 4


FIVE = [
    ("loss", "dataset=cancer optimizer.lr=0.3"),
    ("accuracy", "dataset=cancer optimizer.lr=0.02"),
    ("auc", "dataset=cancer optimizer.lr=0.02"),
    ("ece", "dataset=iris optimizer.lr=0.02"),
    ("r2", "dataset=diabetes optimizer=adam optimizer.lr=0.03"),
]


def with_fast(metric: str) -> list[Any]:
    """All cases, of which that of the metric is fast."""
    return [pytest.param(*case, marks=() if case[0] == metric else pytest.mark.slow) for case in FIVE]


@pytest.mark.parametrize(("metric", "words"), with_fast("ece"))
def test_all_name_the_same_best_step(metric: str, words: str, exp: Any, tmp_path: Path):
    settings = f"metric={metric} epochs=40 early_stopping.patience={PATIENCE} early_stopping.restore_best=true"
    done = exp(*words.split(), *settings.split(), "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run/metrics.csv").open(newline="") as file:
        values = [(int(row["step"]), float(row[metric])) for row in csv.DictReader(file) if row["split"] == "val"]
    best = max if is_higher_better(metric) else min
    value = best(value for _, value in values)
    step = next(step for step, each in values if each == value)
    assert len(values) - 1 - [each for each, _ in values].index(step) in (PATIENCE, 0) or values[-1][0] < 40 * 35
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert checkpoints.read(tmp_path / "run/checkpoints/best.pt")["progress"]["step"] == step
    assert summary["best"]["val"]["step"] == step
    assert summary["final"]["val"][metric] == value
    assert f" at step {step:,}: checkpoints/best.pt" in done.stdout
    page = (tmp_path / "run/report.html").read_text()
    assert re.search(rf"validation {metric} was [^<]*, at step {step:,}", page)


@pytest.mark.parametrize(("metric", "words"), with_fast("auc"))
def test_plateau_and_pruner_name_the_same_epoch_as_the_table(metric: str, words: str, exp: Any, tmp_path: Path):
    study = "hydra/sweeper=optuna hydra.sweeper.n_trials=1 hydra.sweeper.storage=study.log model.hidden=choice(12)"
    settings = f"metric={metric} epochs=30 early_stopping.patience={PATIENCE} figures=false hydra.sweep.dir=s"
    plateau = "scheduler=plateau scheduler.patience=99 +scheduler.threshold=0.0 save_every=1epoch sweep.workers=0"
    done = exp("-m", *words.split(), *settings.split(), *study.split(), *plateau.split())
    assert done.returncode == 0, done.stderr
    with (tmp_path / "s/0/metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    epochs = {int(float(row["epoch"])): float(row[metric]) for row in rows}
    best = (max if is_higher_better(metric) else min)(epochs, key=lambda epoch: epochs[epoch])
    assert 0 < best < 30
    assert max(epochs) == min(30, best + PATIENCE)  # early stopping
    state = checkpoints.read(tmp_path / "s/0/checkpoints/best.pt")
    assert state["step"] == int(next(row["step"] for row in rows if float(row["epoch"]) == best))
    scheduler = checkpoints.read(tmp_path / "s/0/checkpoints/last.pt")["scheduler"]
    assert scheduler["last_epoch"] - scheduler["num_bad_epochs"] == best
    assert scheduler["best"] == epochs[best]
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log"))
    loaded = optuna.load_study(study_name="exp", storage=optuna.storages.JournalStorage(backend))
    (trial,) = loaded.trials
    best_of_pruner = max if loaded.direction is StudyDirection.MAXIMIZE else min
    values = trial.intermediate_values
    assert best_of_pruner(values, key=lambda epoch: values[epoch]) == best
    assert trial.value == epochs[best]
    (table,) = csv.DictReader((tmp_path / "s/sweep.csv").read_text().splitlines())
    assert float(table[f"{metric}/val"]) == epochs[best]


def test_early_stopping_waits_for_the_metric_by_min_delta():
    state = TrainingState()
    rises = []
    for step, value in enumerate((0.5, 0.52, 0.55, 0.551, 0.54)):
        state.step = step
        rises.append((state.record_validation(value, 0.04, higher_is_better=True, on_tie="first"), state.waited))
    assert rises == [(True, 0), (True, 1), (True, 0), (True, 1), (False, 2)]
    assert (state.best_value, state.best_step, state.to_beat) == (0.551, 3, 0.55)


@pytest.mark.parametrize(("metric", "mode"), [("loss", "min"), ("ece", "min"), ("f1", "max")])
def test_the_plateau_schedule_follows_the_direction_of_the_metric(metric: str, mode: str):
    scheduler = build(config_of("scheduler=plateau", f"metric={metric}")).learner.scheduler
    assert isinstance(scheduler, ReduceLROnPlateau)
    assert scheduler.mode == mode


@pytest.mark.slow
def test_a_resumed_run_has_the_best_step_and_the_bits_of_the_whole_run(exp: Any, tmp_path: Path):
    words = "metric=f1 scheduler=plateau scheduler.patience=1 early_stopping.restore_best=true figures=false".split()
    assert exp(*words, "epochs=8", "save_every=1epoch", "hydra.run.dir=whole").returncode == 0
    assert exp(*words, "epochs=4", "save_every=1epoch", "hydra.run.dir=half").returncode == 0
    done = exp("resume=half", "epochs=8")
    assert done.returncode == 0, done.stderr
    best = [checkpoints.read(tmp_path / run / "checkpoints/best.pt") for run in ("whole", "half")]
    assert best[0]["progress"] == best[1]["progress"]
    last = [checkpoints.read(tmp_path / run / "checkpoints/last.pt") for run in ("whole", "half")]
    for name, parameter in last[0]["model"].items():
        assert parameter.equal(last[1]["model"][name])


def test_a_sweep_is_sorted_by_the_metric_that_its_jobs_use(exp: Any, tmp_path: Path):
    done = exp(*"-m metric=auc epochs=2 optimizer.lr=0.001,0.1 figures=false hydra.sweep.dir=s sweep.workers=0".split())
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    header = next(number for number, line in enumerate(lines) if line[:2] == ["job", "lr"])
    shown = [line[0] for line in lines[header + 1 : header + 3]]
    with (tmp_path / "s/sweep.csv").open(newline="") as file:
        found = {row["job"]: float(row["auc/val"]) for row in csv.DictReader(file)}
    assert shown == sorted(found, key=lambda job: -found[job])


def test_a_metric_that_the_validation_rows_do_not_define_is_refused(exp: Any, tmp_path: Path):
    lines = ["a,b", *(f"{row % 9},{'yes' if row == 7 else 'no'}" for row in range(40))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    done = exp(*"dataset=table dataset.path=rows.csv dataset.target=b metric=auc figures=false seed=1".split())
    assert done.returncode == 1
    assert "metric=auc: 8 validation rows cannot define it" in done.stderr
    assert "dataset.stratify=true" in done.stderr


def test_a_script_cannot_choose_by_a_metric_that_it_does_not_compute(exp: Any, tmp_path: Path):
    rows = [f"{row * 7 % 40},{'no' if row % 3 else 'yes'}" for row in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b", *rows]))
    words = "dataset=table dataset.path=rows.csv dataset.target=b model=mlp metric=auc epochs=2 hydra.run.dir=run"
    assert exp(*words.split(), "figures=false").returncode == 0
    done = exp("export", "run=run", "format=script", "out=train.py")
    assert done.returncode == 1
    assert "metric=auc" in done.stderr
    assert not (tmp_path / "train.npz").exists()
    assert "try: checkpoint=RUN/checkpoints/best.pt, whose script" in done.stderr
    assert exp("calibrate", "run=run", "threshold=0.9").returncode == 0
    done = exp("export", "run=run", "format=script", "out=train.py", "checkpoint=run/checkpoints/best.pt")
    assert done.stdout.splitlines()[-1] == "script, checkpoint run/checkpoints/best.pt: train.py"  # not calibrated


def test_an_unknown_metric_is_refused():
    with pytest.raises(ConfigError, match="metric must be the name of a metric"):
        config_of("metric=acc")


@pytest.mark.parametrize(("on_tie", "best"), [("first", 1), ("last", 3)])
def test_of_equal_values_the_first_or_the_last_is_the_best(on_tie: str, best: int):
    state = TrainingState()
    for step, value in enumerate((0.5, 0.7, 0.6, 0.7, 0.65)):
        state.step = step
        state.record_validation(value, 0.0, higher_is_better=True, on_tie=on_tie)
    assert (state.best_value, state.best_step, state.waited) == (0.7, best, 3)
