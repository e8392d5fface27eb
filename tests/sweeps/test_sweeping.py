"""Sweeps in real processes: a killed worker fails only its job, a stopped sweep is resumed, failures are reported."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import forking
import pytest
from conftest import config_of

from exp.reports import sweep_summary
from exp.results import sweep_csv, terminal
from exp.results.compare_runs import find_differences
from exp.sweeps import progress
from exp.sweeps.jobs import Job
from exp.sweeps.metric import note_different_losses

# A job takes most of a second: enough time to stop or kill it.
LONG = "dataset=moons batching=full epochs=6000 figures=false log_every=1000 eval_every=1000 save_every=200".split()
SHORT = "dataset=moons epochs=2 figures=false".split()
HERE = "sweep.workers=0"  # for tests that are not about workers, each of which imports torch for two seconds


def start(folder: Path, *arguments: str) -> forking.Process:
    return forking.begin("exp", "-m", *arguments, folder=folder)


def table(folder: Path, name: str = "sweep.csv") -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def has_same_numbers(run: Path, other: Path) -> bool:
    return not [text for kind, text in find_differences(run, other) if kind in ("metrics", "parameters")]


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition never held")


def workers_of(process: forking.Process) -> list[int]:
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in children]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    process = start(folder, *LONG, HERE, "seed=1,2,3", "hydra.sweep.dir=sweep")
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return folder / "sweep"


@pytest.mark.slow
def test_a_killed_worker_fails_only_its_job(uninterrupted: Path, tmp_path: Path):
    process = start(tmp_path, *LONG, "seed=1,2,3", "hydra.sweep.dir=sweep")
    wait_until((tmp_path / "sweep/1/checkpoints/last.pt").exists)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    stdout, _ = process.communicate()
    assert process.returncode == 1
    assert re.search(r"failed +1: seed=2: its process was killed by SIGKILL, by a user or by the system", stdout)
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["finished", "failed", "finished"]
    assert json.loads((tmp_path / "sweep/1/summary.json").read_text())["status"] == "failed"
    for job in ("0", "2"):
        assert has_same_numbers(tmp_path / "sweep" / job, uninterrupted / job)
    again = start(tmp_path, *LONG, HERE, "seed=1,2,3", "sweep.resume=sweep")
    _, stderr = again.communicate()
    assert again.returncode == 0, stderr
    assert "resumed   after step" in (tmp_path / "sweep/1/exp.log").read_text()
    assert table(tmp_path / "sweep") == table(uninterrupted)
    assert has_same_numbers(tmp_path / "sweep/1", uninterrupted / "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "which", [signal.SIGKILL, *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGINT, signal.SIGTERM))]
)
def test_a_stopped_sweep_is_resumed(which: signal.Signals, uninterrupted: Path, tmp_path: Path):
    process = start(tmp_path, *LONG, "seed=1,2,3", "hydra.sweep.dir=sweep")
    wait_until((tmp_path / "sweep/1/checkpoints/last.pt").exists)
    process.send_signal(which)
    stdout, _ = process.communicate()
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[which]
    assert not (tmp_path / "sweep/2").exists() or which == signal.SIGKILL
    if which != signal.SIGKILL:
        assert "to resume: python -m exp -m sweep.resume=sweep\n" in stdout
        assert json.loads((tmp_path / "sweep/1/summary.json").read_text())["status"] == "interrupted"
        assert [row["status"] for row in table(tmp_path / "sweep")] == ["finished", "interrupted"]
    again = start(tmp_path, *LONG, HERE, "seed=1,2,3", "sweep.resume=sweep")
    _, stderr = again.communicate()
    assert again.returncode == 0, stderr
    assert table(tmp_path / "sweep") == table(uninterrupted)
    assert all(has_same_numbers(tmp_path / "sweep" / job, uninterrupted / job) for job in "012")


@pytest.mark.slow
def test_jobs_are_added_to_a_finished_sweep_and_none_runs_twice(exp, tmp_path: Path):
    assert exp("-m", *SHORT, HERE, "seed=1,2", "optimizer.lr=0.1", "hydra.sweep.dir=sweep").returncode == 0
    before = (tmp_path / "sweep/0/exp.log").read_bytes()
    more = exp("-m", *SHORT, HERE, "seed=3,1,2", "optimizer.lr=0.1,0.2", "sweep.resume=sweep")
    assert more.returncode == 0, more.stderr
    assert (tmp_path / "sweep/0/exp.log").read_bytes() == before
    jobs = [(row["job"], row["seed"], row["optimizer.lr"]) for row in table(tmp_path / "sweep")]
    assert jobs[:2] == [("0", "1", "0.1"), ("1", "2", "0.1")]
    assert sorted(pair[1:] for pair in jobs) == [(seed, lr) for seed in "123" for lr in ("0.1", "0.2")]
    refused = exp("-m", HERE, "epochs=3", "sweep.resume=sweep")
    assert refused.returncode == 1
    assert "epochs was 2, is now 3" in refused.stderr


def test_a_sweep_is_resumed_by_its_folder_alone(exp, tmp_path: Path):
    """Every override that is not typed is that of the sweep, as with `resume=` of a run."""
    (tmp_path / "mine/dataset").mkdir(parents=True)
    (tmp_path / "mine/dataset/my_xor.yaml").write_text("defaults:\n  - xor\n")
    line = ["--config-dir", "mine", "-m", "dataset=my_xor", "epochs=1", "figures=false", HERE]
    assert exp(*line, "seed=1,2", "hydra.sweep.dir=sweep").returncode == 0
    shutil.rmtree(tmp_path / "sweep/1")
    done = exp("-m", "sweep.resume=sweep")
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["finished", "finished"]
    assert exp("-m", "sweep.resume=sweep", "seed=1,2,3").returncode == 0
    assert sorted(row["seed"] for row in table(tmp_path / "sweep")) == ["1", "2", "3"]


def test_a_sweeps_record_cannot_change_the_settings_of_hydra(exp, tmp_path: Path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text("{}")
    (tmp_path / "sweep/multirun.yaml").write_text("hydra: {overrides: {task: ['+hydra.job.env_set.A=b']}}")
    done = exp("-m", "sweep.resume=sweep")
    assert done.returncode == 1
    assert "+hydra.job.env_set.A=b is not allowed" in done.stderr


@pytest.mark.slow
def test_auto_resumes_the_latest_sweep_or_starts_a_new_one(exp, tmp_path: Path):
    for arguments in (["seed=1", "sweep.resume=auto"], ["seed=1"], ["seed=1,2,3", "sweep.resume=auto"]):
        assert exp(*SHORT, "-m", *arguments).returncode == 0
    first, second = sorted((tmp_path / "outputs").glob("*/*"))
    assert [row["job"] for row in table(first)] == ["0"]
    assert [row["job"] for row in table(second)] == ["0", "1", "2"]


@pytest.mark.slow
def test_an_interrupted_job_keeps_its_checkpoint_until_it_is_resumed(exp, uninterrupted: Path, tmp_path: Path):
    """Two running jobs are stopped, resumed one at a time, and stopped again before the second resumed."""
    line = [*LONG, "seed=1,2,3"]
    process = start(tmp_path, *line, "sweep.workers=2", "hydra.sweep.dir=sweep")
    wait_until(lambda: all((tmp_path / f"sweep/{job}/checkpoints/last.pt").exists() for job in "01"))
    process.send_signal(signal.SIGTERM)
    process.communicate()
    wait_until((tmp_path / "sweep/1/checkpoints/last.pt").exists)
    process = start(tmp_path, *line, "sweep.resume=sweep")
    wait_until(lambda: "resumed" in (tmp_path / "sweep/0/exp.log").read_text())
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert (tmp_path / "sweep/1/checkpoints/last.pt").exists()
    assert exp("-m", *line, "sweep.resume=sweep").returncode == 0
    assert table(tmp_path / "sweep") == table(uninterrupted)
    assert all(has_same_numbers(tmp_path / "sweep" / job, uninterrupted / job) for job in "012")


@pytest.mark.slow
def test_sigterm_to_a_worker_stops_the_sweep(tmp_path: Path):
    process = start(tmp_path, *LONG, "seed=1,2,3,4", "sweep.workers=2", "hydra.sweep.dir=sweep")
    wait_until(lambda: all((tmp_path / f"sweep/{job}/checkpoints/last.pt").exists() for job in "01"))
    os.kill(workers_of(process)[0], signal.SIGTERM)
    stdout, _ = process.communicate()
    assert process.returncode == 130
    assert "interrupted and saved; to resume: python -m exp -m" in stdout
    assert "interrupted" in {row["status"] for row in table(tmp_path / "sweep")}
    assert not (tmp_path / "sweep/3").exists()


def test_equal_jobs_run_once_and_are_noted(exp, tmp_path: Path):
    done = exp("-m", *SHORT, HERE, "seed=1,1,2", "sweep.on_error=stop", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("note: 1 job equal to another one, which runs once")
    assert [row["seed"] for row in table(tmp_path / "sweep")] == ["1", "2"]
    assert (tmp_path / "sweep/0/exp.log").read_text().count("model ") == 1


@pytest.mark.slow
def test_a_default_equals_the_same_value_in_an_override(exp, tmp_path: Path):
    """Jobs added with the default value as an override are the same jobs, and one group of seeds."""
    assert exp("-m", *SHORT, "seed=1,2", "hydra.sweep.dir=sweep").returncode == 0
    arguments = ["seed=1,2,3", "optimizer.lr=0.02,0.5", "optimizer=sgd", "sweep.resume=sweep"]
    assert exp("-m", *SHORT, *arguments).returncode == 0
    rows = [(row["optimizer.lr"], row["seed"], row["optimizer"]) for row in table(tmp_path / "sweep")]
    assert rows[:2] == [("0.02", "1", "sgd"), ("0.02", "2", "sgd")]
    assert sorted(rows) == [(lr, seed, "sgd") for lr in ("0.02", "0.5") for seed in "123"]
    assert [(row["optimizer.lr"], row["n"]) for row in table(tmp_path / "sweep", "seeds.csv")] == [
        ("0.02", "3"),
        ("0.5", "3"),
    ]


@pytest.mark.slow
def test_an_infinite_metric_has_a_mean_and_no_deviation(exp, tmp_path: Path):
    """A loss may be finite while the squares in rmse and r2 are not."""
    line = "-m dataset=diabetes loss=l1 batching=full epochs=2 preflight=off figures=false optimizer.lr=1e7".split()
    done = exp(*line, "seed=1,2,3", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    (row,) = table(tmp_path / "sweep", "seeds.csv")
    assert (row["r2/val"], row["r2/val std"]) == ("-inf", "")
    assert "± ?" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-m seed=1,2 'hydra.sweep.subdir=a/${seed}'", "cannot be the folder of a job"),
        pytest.param("-m seed=1,2 hydra.sweep.subdir=seeds", "cannot be the folder of a job", marks=pytest.mark.slow),
        pytest.param(
            "-m seed=1,2 sweep.workers=1,2",
            "sweep.workers is a setting of the sweep and cannot vary",
            marks=pytest.mark.slow,
        ),
        pytest.param("-m seed=1,2 hydra.sweep.subdir=", "hydra.sweep.subdir: '' cannot", marks=pytest.mark.slow),
        pytest.param(
            "-m seed=1,2 hydra.sweep.subdir=sweep.csv", "cannot be the folder of a job", marks=pytest.mark.slow
        ),
        pytest.param("-m seed=1,2 sweep.workers=null", "or auto, got null", marks=pytest.mark.slow),
        pytest.param(
            "-m seed=1,2 sweep.metric=acc/test",
            "METRIC one of loss, error, accuracy, balanced_accuracy",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "-m seed=1,2 sweep.on_error=stop hydra/launcher=basic",
            "only exp's own launcher can stop",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "-m 'seed=range(0,1000000)'", "the sweep has 1,000,000 jobs (at most 100,000)", marks=pytest.mark.slow
        ),
        ("-m seed=1,2 hydra.job.chdir=true", "jobs of a sweep run in the current folder"),
        pytest.param("-m seed=1,2 hydra.output_subdir=foo", "must be .hydra, got foo", marks=pytest.mark.slow),
        pytest.param("hydra.output_subdir=foo", "must be .hydra, got foo", marks=pytest.mark.slow),
        ("sweep.dry_run=true", "needs a sweep (-m)"),
        pytest.param(
            "-m seed=1,2 sweep.dry_run=true hydra/launcher=basic",
            "only exp's own launcher can list jobs",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "-m seed=1,2 sweep.dry_run=true hydra/sweeper=optuna",
            "a search chooses its jobs while it runs",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "-m seed=1,2 ++sweep.resume=there", "must be typed on the command line, without +", marks=pytest.mark.slow
        ),
        pytest.param(
            "-m seed=1,2 sweep.resume=there sweep.resume=here", "one sweep.resume=FOLDER", marks=pytest.mark.slow
        ),
    ],
)
def test_unsupported_settings_are_errors(exp, tmp_path: Path, arguments: str, message: str):
    # A worker would import torch for nothing.
    workers = ["sweep.workers=0"] if "-m" in arguments and "sweep.workers" not in arguments else []
    done = exp(*shlex.split(arguments), *SHORT, *workers)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.mark.slow
def test_log_settings_may_use_values_of_the_job(exp, tmp_path: Path):
    name = "hydra.job_logging.handlers.file.filename=${hydra.runtime.output_dir}/${hydra.job.num}-${seed}.log"
    assert exp("-m", *SHORT, "seed=5,6", name, "hydra.sweep.dir=sweep").returncode == 0
    assert sorted(path.name for path in tmp_path.glob("sweep/*/*.log")) == ["0-5.log", "1-6.log"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", marks=pytest.mark.slow),
        '{"folders": [], "config": {}, "varied": []}',
        *(pytest.param(text, marks=pytest.mark.slow) for text in ("[]", '{"jobs": 3}')),
    ],
)
def test_a_damaged_sweep_json_is_an_error(exp, tmp_path: Path, content: str):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text(content)
    done = exp("-m", *SHORT, "seed=1,2", "sweep.resume=sweep", "sweep.workers=0")
    assert done.returncode == 1
    assert "sweep/sweep.json is damaged: it does not list the jobs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_job_whose_folder_is_removed_fails(tmp_path: Path):
    process = start(tmp_path, *LONG, "seed=1,2", "hydra.sweep.dir=sweep")
    wait_until((tmp_path / "sweep/0/checkpoints/last.pt").exists)
    (tmp_path / "sweep/0").rename(tmp_path / "removed")  # at once: the job may write a file into it meanwhile
    stdout, stderr = process.communicate()
    assert process.returncode == 1, stderr
    assert "its folder was removed while it ran" in stdout
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["failed", "finished"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("dataset=diabetes sweep.metric=accuracy/test", "sweep.metric=rmse/test\n", marks=pytest.mark.slow),
        ("dataset=moons sweep.metric=r2/val", "sweep.metric=accuracy/val\n"),
        pytest.param(
            "dataset=moons sweep.metric=auc/val",
            "sweep.metric=accuracy/val, or more metrics: 'metrics=[auc]'\n",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_metric_that_no_job_has_is_refused_before_the_first_job(line: str, message: str, exp, tmp_path: Path):
    done = exp("-m", *line.split(), HERE, "seed=0,1", "epochs=1", "hydra.sweep.dir=sweep")
    assert done.returncode == 1
    assert "no job has this metric (available: loss/" in done.stderr
    assert f"try: {message}" in done.stderr
    assert not (tmp_path / "sweep").exists()


def test_a_metric_that_no_job_of_a_table_computes_is_refused_before_the_first_job(exp, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("\n".join(["x,y", *(f"{row},{'ab'[row % 2]}" for row in range(40))]))
    line = "-m dataset=table dataset.path=rows.csv dataset.target=y seed=0,1 epochs=1 hydra.sweep.dir=sweep".split()
    done = exp(*line, HERE, "sweep.metric=f1:a/val", "metrics=[mcc]")
    assert done.returncode == 1
    assert "exp: sweep.metric=f1:a/val: no job computes this metric\n  try: 'metrics=[mcc,f1:a]'" in done.stderr
    assert "corrected: python -m exp -m dataset=table" in done.stderr
    assert "sweep.metric=f1:a/val 'metrics=[mcc,f1:a]'\n" in done.stderr
    assert not (tmp_path / "sweep").exists()
    done = exp(*line, HERE, "sweep.metric=f1:a/val", "metrics=[mcc,f1:a]", "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("seed=0,1 dataset.split=[.8,0,.2]", "sweep.metric=loss/test"),
        pytest.param(
            "folds=2 dataset.split=[1,0,0] sweep.metric=accuracy/val", "=accuracy/test", marks=pytest.mark.slow
        ),
        ("folds=2 dataset.split=[1,0,0] hydra/sweeper=optuna optimizer.lr=0.1,0.2", "'dataset.split=[.6,.2,.2]'"),
        pytest.param(
            "dataset.train_on_val=true hydra/sweeper=optuna optimizer.lr=0.1,0.2",
            "dataset.train_on_val=false",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_metric_of_validation_rows_that_no_job_has_is_refused(line: str, fix: str, exp, tmp_path: Path):
    done = exp("-m", *line.split(), *SHORT, HERE, "hydra.sweep.dir=sweep")
    assert done.returncode == 1
    assert "/val: the jobs do not have validation rows\n" in done.stderr
    assert f"{fix}\n" in done.stderr
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_auto_resumes_the_sweep_in_hydra_sweep_dir(exp, tmp_path: Path):
    assert exp("-m", *SHORT, "seed=1", "hydra.sweep.dir=mine/a").returncode == 0
    assert exp("-m", *SHORT, "seed=1,2", "hydra.sweep.dir=mine/a", "sweep.resume=auto").returncode == 0
    assert [row["job"] for row in table(tmp_path / "mine/a")] == ["0", "1"]


def test_rows_without_a_number_are_sorted_last():
    values = [0.5, float("nan"), 0.9, "nan", 0.1, None, 0.95]
    ordered = sweep_summary.sort_best_first([{"accuracy/val": value} for value in values], "accuracy/val")
    assert [row["accuracy/val"] for row in ordered[:4]] == [0.95, 0.9, 0.5, 0.1]


@pytest.mark.slow
def test_a_value_in_brackets_is_shown_unchanged(exp):
    done = exp("-m", *SHORT, "model.hidden=[4],[8,8]", "model.activation=relu,tanh")
    assert "[8,8]" in done.stdout
    assert "[4]" in done.stdout


def test_seeds_are_averaged(exp, tmp_path: Path):
    done = exp("-m", *SHORT, HERE, "seed=range(0,4)", "optimizer.lr=0.5,0.01", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    means = table(tmp_path / "sweep", "seeds.csv")
    assert [(row["optimizer.lr"], row["n"], row["lost"]) for row in means] == [("0.5", "4", "0"), ("0.01", "4", "0")]
    for row in means:
        runs = [job for job in table(tmp_path / "sweep") if job["optimizer.lr"] == row["optimizer.lr"]]
        losses = [json.loads((tmp_path / "sweep" / job["job"] / "summary.json").read_text()) for job in runs]
        values = [summary["final"]["val"]["loss"] for summary in losses]
        assert float(row["loss/val"]) == pytest.approx(statistics.fmean(values), rel=1e-12)
        assert float(row["loss/val std"]) == pytest.approx(statistics.stdev(values), rel=1e-12)
    lines = [line for line in done.stdout.splitlines() if " done, " not in line]  # progress lines of a slow machine
    assert lines[0].split()[:3] == ["lr", "n", "best?"]
    assert lines[1].split()[0] == "0.5"  # the better one


@pytest.mark.parametrize("launcher", ["exp", pytest.param("basic", marks=pytest.mark.slow)])
def test_the_summary_is_sorted_and_lists_failures(exp, tmp_path: Path, launcher: str):
    arguments = ["optimizer.lr=0.01,0.5,0.1", "batching.batch_size=10,100000", f"hydra/launcher={launcher}"]
    done = exp("-m", *SHORT, HERE, *arguments, "sweep.metric=accuracy/test", "hydra.sweep.dir=sweep")
    assert done.returncode == 1
    rows = [row for row in table(tmp_path / "sweep") if row["status"] == "finished"]
    best = sorted(rows, key=lambda row: -float(row["accuracy/test"]))
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("job "))
    assert [line.split()[0] for line in lines[first + 1 : first + 4]] == [row["job"] for row in best]
    assert sum("batch_size must be <= the number of training rows, 600" in line for line in lines[first:]) == 3
    for job in ("1", "3", "5"):
        assert json.loads((tmp_path / f"sweep/{job}/summary.json").read_text())["status"] == "failed"
        assert "Traceback" in (tmp_path / f"sweep/{job}/exp.log").read_text()


def test_on_error_stop_starts_no_job_after_a_failure(exp, tmp_path: Path):
    done = exp(
        "-m", *SHORT, HERE, "batching.batch_size=100000,10,20,30,40", "sweep.on_error=stop", "hydra.sweep.dir=sweep"
    )
    assert done.returncode == 1
    assert table(tmp_path / "sweep")[0]["status"] == "failed"
    assert [path.name for path in (tmp_path / "sweep").glob("[0-9]*")] == ["0"]
    stopped = "stopped at the first failure; jobs not started: 4"
    assert f"{stopped}; to resume: python -m exp -m sweep.resume=sweep\n" in done.stdout


@pytest.mark.parametrize("how", ["sweep.dry_run=true", pytest.param("--cfg job", marks=pytest.mark.slow)])
def test_a_dry_run_lists_the_jobs_and_writes_nothing(exp, tmp_path: Path, how: str):
    done = exp("-m", HERE, "seed=1,2", "model.hidden=[4],[8,8]", *how.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["0", "seed=1 'model.hidden=[4]'"],
        ["1", "seed=1 'model.hidden=[8,8]'"],
        ["2", "seed=2 'model.hidden=[4]'"],
        ["3", "seed=2 'model.hidden=[8,8]'"],
    ]
    wrong = exp("-m", HERE, "seed=1,2", "epochs=3,0", *how.split())
    assert wrong.returncode == 1
    assert "epochs must be an integer >= 1, or auto, got 0" in wrong.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_fold_is_all_folds(exp):
    done = exp("folds=2", "fold=null", "sweep.dry_run=true")
    assert (done.returncode, done.stderr) == (0, "")
    jobs = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert jobs == [["0", "folds=2 fold=0"], ["1", "folds=2 fold=1"]]


def test_a_sweep_json_cannot_name_folders_outside_the_sweep(exp, tmp_path: Path):
    assert exp("-m", *SHORT, HERE, "seed=1,2", "hydra.sweep.dir=sweep").returncode == 0
    content = json.loads((tmp_path / "sweep/sweep.json").read_text())
    content["folders"] = {key: f"../{name}" for key, name in content["folders"].items()}
    (tmp_path / "sweep/sweep.json").write_text(json.dumps(content))
    refused = exp("-m", *SHORT, HERE, "seed=1,2", "sweep.resume=sweep")
    assert refused.returncode == 1
    assert "is not a valid folder name of a job" in refused.stderr
    assert not (tmp_path / "0").exists()


@pytest.mark.parametrize("torn", [None, ""], ids=["no word", "an empty file"])
def test_a_job_killed_while_its_overrides_were_saved_counts_as_not_begun(tmp_path: Path, torn: str | None):
    (tmp_path / "0/.hydra").mkdir(parents=True)
    (tmp_path / "0/.hydra/overrides.yaml").write_text("- seed=1\n")
    (tmp_path / "1/.hydra").mkdir(parents=True)
    if torn is not None:
        (tmp_path / "1/.hydra/overrides.yaml").write_text(torn)
        (tmp_path / "1/.hydra/config.yaml").write_text("seed: 2\n")
    assert {row["status"] for row in sweep_csv.read_rows(tmp_path).values()} == {"not begun"}


@pytest.mark.parametrize(
    ("lines", "differing"),
    [
        (["dataset=iris loss.label_smoothing=0", "dataset=iris loss.label_smoothing=0.1"], "loss.label_smoothing"),
        (["dataset=diabetes loss=mse", "dataset=diabetes loss=huber"], "loss"),
        (["dataset=diabetes dataset.scale_target=true", "dataset=diabetes"], "dataset.scale_target"),
        (["dataset=arrays dataset.path=a.npz dataset.weight=w", "dataset=arrays dataset.path=a.npz"], "dataset.weight"),
        (["dataset=iris model=mlp", "dataset=iris model=linear"], None),
    ],
)
def test_losses_that_cannot_be_compared_are_noted(lines: list[str], differing: str | None):
    jobs = [Job(number, [], config_of(*line.split()), {}) for number, line in enumerate(lines)]
    note = note_different_losses(jobs, "loss/val")
    assert (note is not None) == (differing is not None)
    assert f"the jobs differ in {differing}, so" in (note or "the jobs differ in None, so")
    assert note_different_losses(jobs, "accuracy/val") is None


def test_a_sweep_prints_the_note_on_losses(exp):
    done = exp("-m", "dataset=diabetes", "loss=mse,huber", "epochs=1", "figures=false", HERE)
    assert done.returncode == 0, done.stderr
    assert "note: the jobs differ in loss, so that their losses cannot be compared" in done.stdout


def test_a_progress_line_ends_with_its_last_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(terminal, "_SECONDS_BETWEEN_LINES", -1.0)
    progress.SweepProgress(6, 0, "loss/val").show(0, 6, 2)
    assert capsys.readouterr().out == "0 of 6 done, 0 failed, 2 running\n"
