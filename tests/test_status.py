"""`exp status`: how far runs and sweeps are, while they run, after kill -9, and at their end."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forking
import pytest

import exp.status
from exp.results import metrics_csv, summary
from exp.results.best_job import find_best
from exp.results.heartbeat import describe_process
from exp.results.run_status import Process

ENDLESS = "dataset=xor epochs=100000000 figures=false save_every=1epoch log_every=1epoch".split()


def exp_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp", list(words), folder)


def status(folder: Path, *words: str) -> tuple[int, str]:
    done = exp_in(folder, "status", *words)
    assert done.stderr == ""
    return done.returncode, done.stdout


def documents(folder: Path, *words: str) -> list[dict[str, Any]]:
    content = json.loads(exp_in(folder, "status", "--json", *words).stdout)
    assert list(content) == ["format", "command", "folders", "exit_code"]
    assert (content["format"], content["command"]) == (1, "status")
    return content["folders"]


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_is_followed_to_its_end(tmp_path: Path):
    process = forking.begin("exp", *ENDLESS, "hydra.run.dir=run", folder=tmp_path)
    wait_until((tmp_path / "run/checkpoints/last.pt").exists)
    code, printed = status(tmp_path, "run")
    assert code == 2
    refused = exp_in(tmp_path, "resume=run")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"exp: run is running: process {process.pid} on ")
    assert refused.stderr.endswith("\n  try: wait for its end: python -m exp status run\n")
    first, since, *metrics = printed.splitlines()
    assert first.startswith("run: running, step ")
    assert first.endswith(" of 100,000,000")
    assert f"process {process.pid} on " in since
    assert [line.split()[0] for line in metrics] == ["train", "val"]
    process.kill()
    process.communicate()
    code, printed = status(tmp_path, "run")
    assert code == 1
    assert printed.startswith("run: died, step ")
    assert printed.splitlines()[-1] == "resume    python -m exp resume=run"
    (document,) = documents(tmp_path, "run")
    rows = list(metrics_csv.read_rows(tmp_path / "run"))
    assert (document["step"], document["epoch"]) == (rows[-1].step, rows[-1].epoch)
    assert document["metrics"]["val"]["loss"] == [row for row in rows if row.split == "val"][-1].metrics["loss"]
    assert (document["steps"], document["seconds"]) == (100_000_000, None)


def test_a_finished_run_has_its_final_metrics(tmp_path: Path):
    assert exp_in(tmp_path, "dataset=xor", "epochs=20", "figures=false", "hydra.run.dir=run").returncode == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    (document,) = documents(tmp_path, "run")
    assert document["metrics"] == summary["final"]
    assert document["process"] == {
        **{key: summary["process"][key] for key in ("host", "pid", "began")},
        "seconds_since_heartbeat": None,
    }
    names = "kind folder status step steps epoch epochs seconds process metrics error resume"
    assert list(document) == names.split()
    assert status(tmp_path, "run")[0] == 0


def test_a_damaged_record_of_the_process_is_left_out(tmp_path: Path):
    assert exp_in(tmp_path, "dataset=xor", "epochs=1", "figures=false", "hydra.run.dir=run").returncode == 0
    path = tmp_path / "run/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "process": "damaged"}))
    (document,) = documents(tmp_path, "run")
    assert set(document["process"].values()) == {None}


def test_a_run_that_is_not_built_prepares_its_rows(tmp_path: Path):
    assert exp_in(tmp_path, "dataset=xor", "epochs=1", "figures=false", "hydra.run.dir=run").returncode == 0
    path = tmp_path / "run/summary.json"
    running = {**json.loads(path.read_text()), "status": "running", "process": describe_process()}
    path.write_text(json.dumps(running))
    (tmp_path / "run/metrics.csv").unlink()
    assert status(tmp_path, "run")[1].startswith("run: running\n")
    del running["planned_steps"]
    path.write_text(json.dumps(running))
    assert status(tmp_path, "run")[1].startswith("run: running, preparing rows\n")


def test_an_error_with_a_fix_has_a_line_for_each(tmp_path: Path, xor_run: Path):
    shutil.copytree(xor_run, tmp_path / "run")
    summary.write_failure(tmp_path / "run", "last.pt cannot be written\n  try: free some space", [])
    lines = list(exp.status.status(str(tmp_path / "run")).lines())
    place = lines.index("error     last.pt cannot be written")
    assert lines[place + 1] == "          try: free some space"


def test_a_damaged_summary_is_named(tmp_path: Path, xor_run: Path):
    shutil.copytree(xor_run, tmp_path / "run")
    path = tmp_path / "run/summary.json"
    path.write_text(path.read_text()[:100])
    code, printed = status(tmp_path, "run")
    assert code == 1
    assert printed.startswith("run: damaged, step ")
    assert printed.splitlines()[-1] == "error     run/summary.json is damaged"
    note = "note: run/summary.json is {}: whether the run finished is not known\n"
    assert note.format("damaged") in exp_in(tmp_path, "evaluate", "run").stdout
    path.unlink()
    assert note.format("missing") in exp_in(tmp_path, "evaluate", "run").stdout
    (tmp_path / "run/metrics.csv").unlink()
    printed = exp_in(tmp_path, "report", "run").stdout
    assert "figures/learning_curves.png could not be drawn: run/metrics.csv has no values" in printed


@pytest.mark.parametrize(("epoch", "text"), [(1500.0, "1,500"), (31.0, "31"), (2.345678, "2.346"), (12345.6, "12,346")])
def test_an_epoch_is_written_as_the_number_of_epochs_is(epoch: float, text: str):
    assert exp.status._format_epoch(epoch) == text


def test_the_start_of_a_process_is_shown_in_the_time_zone_of_the_reader(monkeypatch: pytest.MonkeyPatch):
    process = Process("host", 1, "2026-03-01T23:30:00+01:00", 3.0)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        (line,) = exp.status._describe_process(process, "running")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert line == "since     2026-03-02 07:30:00, process 1 on host, last heartbeat 3 s ago"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    line = "-m dataset=diabetes epochs=3 figures=false optimizer.lr=0.0005,0.001,10 seed=1,2 hydra.sweep.dir=sweep"
    assert exp_in(folder, *line.split(), "sweep.workers=0").returncode == 1  # the last rate diverges
    return folder / "sweep"


def test_the_jobs_of_a_sweep_are_counted_and_the_best_is_that_of_exp_best(sweep: Path):
    (document,) = documents(sweep.parent, "sweep")
    names = "kind folder status jobs metric best seconds process is_search resume"
    assert list(document) == names.split()
    counts = dict.fromkeys("failed pruned running died interrupted left".split(), 0)
    assert document["jobs"] == {"all": 6, "done": 6, "finished": 4, "diverged": 2, **counts}
    best = find_best(sweep)
    assert document["best"]["jobs"] == [job.name for job in best.jobs]
    assert (document["metric"], document["best"]["value"]) == (best.metric, best.value)
    assert document["best"]["choices"].keys() == {"optimizer.lr"}
    code, printed = status(sweep.parent, "sweep")
    assert code == 1
    assert printed.splitlines()[:2] == ["sweep: finished, 6 of 6 jobs done", "jobs      4 finished, 2 diverged"]


def test_several_folders_have_the_code_of_the_worst(sweep: Path):
    assert status(sweep.parent, "sweep/0")[0] == 0
    code, printed = status(sweep.parent, "sweep/0", "sweep/5", "sweep")
    assert code == 1
    assert [part.partition(":")[0] for part in printed.split("\n\n")] == ["sweep/0", "sweep/5", "sweep"]


def test_a_sweep_that_is_killed_died_and_is_finished_by_a_resume(tmp_path: Path):
    line = "-m dataset=xor figures=false save_every=1epoch epochs=20,100000000 seed=1 hydra.sweep.dir=sweep".split()
    process = forking.begin("exp", *line, folder=tmp_path)
    wait_until((tmp_path / "sweep/1/checkpoints/last.pt").exists)
    code, printed = status(tmp_path, "sweep")
    assert code == 2
    assert printed.startswith("sweep: running, 1 of 2 jobs done\n")
    assert "\njobs      1 finished, 1 running\n" in printed
    worker = json.loads((tmp_path / "sweep/1/summary.json").read_text())["process"]["pid"]
    os.kill(worker, signal.SIGSTOP)  # it would save when the sweep is gone
    process.kill()
    process.communicate()
    assert status(tmp_path, "sweep")[1].startswith("sweep: running, ")  # its job does
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: status(tmp_path, "sweep")[0] == 1)
    _, printed = status(tmp_path, "sweep")
    assert printed.startswith("sweep: died, 1 of 2 jobs done\n")
    assert "\njobs      1 finished, 1 died\n" in printed
    assert printed.endswith("\nresume    python -m exp -m sweep.resume=sweep\n")
    assert exp_in(tmp_path, "report", "sweep").returncode == 0
    page = (tmp_path / "sweep/report.html").read_text()
    assert "<title>sweep: 1 of 2 jobs finished, and its process died</title>" in page
    assert "of 2 jobs: 1 finished, 1 died; for the others: python -m exp -m sweep.resume=sweep" in page
    shutil.rmtree(tmp_path / "sweep/1")
    assert "\njobs      1 finished, 1 left\n" in status(tmp_path, "sweep")[1]
    assert exp_in(tmp_path, "report", "sweep").returncode == 0
    assert "not begun" in (tmp_path / "sweep/report.html").read_text()


@pytest.mark.slow
def test_the_trials_that_a_search_has_not_begun_are_left(tmp_path: Path):
    line = "-m dataset=moons hydra/sweeper=optuna optimizer.lr=interval(0.1,1) figures=false hydra.sweep.dir=sweep"
    assert exp_in(tmp_path, *line.split(), "epochs=1", "hydra.sweeper.n_trials=3").returncode == 0
    (document,) = documents(tmp_path, "sweep")
    assert (document["status"], document["jobs"]["all"], document["jobs"]["left"]) == ("finished", 3, 0)
    path = tmp_path / "sweep/0/summary.json"
    path.write_text(path.read_text().replace('"finished"', '"interrupted"'))  # as if another search had replaced it
    code, printed = status(tmp_path, "sweep")
    assert (code, printed.splitlines()[0]) == (0, "sweep: finished, 2 of 2 jobs done")
    assert "\nstudy     complete: other trials took the place of those that were stopped\n" in printed
    assert "resume" not in printed
    path.write_text(path.read_text().replace('"interrupted"', '"finished"'))
    path = tmp_path / "sweep/multirun.yaml"
    path.write_text(path.read_text().replace("n_trials: 3", "n_trials: 5"))
    path = tmp_path / "sweep/sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "jobs": 5}))
    assert documents(tmp_path, "sweep")[0]["jobs"]["left"] == 2
    assert documents(tmp_path, "sweep")[0]["status"] == "unfinished"


def test_the_jobs_of_a_running_search_are_those_of_all_trials(tmp_path: Path):
    line = "-m hydra/sweeper=optuna hydra.sweeper.n_trials=4 optimizer.lr=interval(0.1,1) seed=1,2 sweep.workers=0"
    process = forking.begin("exp", *line.split(), *ENDLESS, "hydra.sweep.dir=sweep", folder=tmp_path)
    wait_until((tmp_path / "sweep/0/checkpoints/last.pt").exists)
    try:
        (document,) = documents(tmp_path, "sweep")
        began = json.loads((tmp_path / "sweep/sweep.json").read_text())["process"]["began"]
        assert document["process"]["began"] == began
        assert [document["jobs"][name] for name in ("all", "running", "left")] == [8, 1, 7]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    (document,) = documents(tmp_path, "sweep")
    assert (document["status"], document["jobs"]["all"], document["jobs"]["left"]) == ("unfinished", 8, 7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "status takes FOLDER... --json\n  try: python -m exp status FOLDER\n"),
        ("nowhere", "nowhere does not contain a run"),
        ("run=a b", "run=a: status takes FOLDER... --json\n  try: python -m exp status a b\n"),
    ],
)
def test_a_wrong_line_is_answered(words: str, message: str, tmp_path: Path):
    done = exp_in(tmp_path, "status", *words.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_the_last_rows_of_a_long_table_are_read_from_its_end(tmp_path: Path):
    lines = ["step,epoch,samples,seconds,split,loss"]
    lines += [f"{step},{step},1,0.5,{'train' if step > 2 else 'val'},0.5" for step in range(1, 60_000)]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n12345")
    last = metrics_csv.read_last(tmp_path)
    assert {split: row.step for split, row in last.items()} == {"train": 59_999, "val": 2}
    (tmp_path / "metrics.csv").write_text("\n".join(lines[:1]))
    assert metrics_csv.read_last(tmp_path) == {}


def test_a_sweep_runs_until_its_page_and_its_tables_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A script may collect them as soon as the status is no more `running`."""
    from exp.cli import finish
    from exp.results.sweep_status import read_sweep_status

    seen: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finish.repeats, "write", lambda folder, _: seen.append(read_sweep_status(folder).status))
    exp.sweep("dataset=xor", "epochs=1", "figures=false", "sweep.workers=0", "seed=1,2", "hydra.sweep.dir=sweep")
    assert seen == ["running"]
    assert read_sweep_status(tmp_path / "sweep").status == "finished"
    assert read_sweep_status(tmp_path / "sweep").process.pid is None


def test_a_folder_with_runs_below_it_is_answered_with_the_command_that_lists_them(xor_run: Path, tmp_path: Path):
    shutil.copytree(xor_run, tmp_path / "outputs/2026-11-28/run")
    for words in (["status", "outputs"], ["evaluate", "run=outputs"]):
        assert exp_in(tmp_path, *words).stderr.endswith("\n  try: python -m exp ls outputs\n")


def test_the_fix_of_best_keeps_the_metric_that_was_typed(xor_run: Path, tmp_path: Path):
    for name, dataset in (("a", "xor"), ("b", "moons")):
        shutil.copytree(xor_run, tmp_path / name)
        content = json.loads((tmp_path / name / "summary.json").read_text())
        content["choices"]["dataset"] = dataset
        (tmp_path / name / "summary.json").write_text(json.dumps(content))
    wrong = exp_in(tmp_path, "best", ".", "--sort", "loss/test")
    fixes = [f"\n  try: python -m exp best . dataset={dataset} --sort loss/test\n" for dataset in ("xor", "moons")]
    assert wrong.stderr.endswith(tuple(fixes)), wrong.stderr
