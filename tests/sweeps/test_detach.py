"""`sweep.detach=true`: the command returns when the sweep has begun, and a process of its own runs the jobs."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import forking
import psutil
import pytest

from exp.cli.detach import start_detached
from exp.errors import ConfigError
from exp.results import heartbeat
from exp.results.run_folder import refuse_links

LINE = "-m dataset=xor epochs=30 figures=false seed=1,2,3 hydra.sweep.dir=sweep".split()
LONG = "-m dataset=xor epochs=100000000 figures=false save_every=1epoch seed=1,2 hydra.sweep.dir=sweep".split()


def exp_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp", list(words), folder)


def table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def process_of(sweep: Path) -> dict[str, object] | None:
    return json.loads((sweep / "sweep.json").read_text()).get("process")


def wait_until_it_ends(sweep: Path) -> None:
    deadline = time.monotonic() + 60
    while process_of(sweep) is not None or "\nreport " not in (sweep / "sweep.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_detached_sweep_is_the_same_sweep(tmp_path: Path):
    done = exp_in(tmp_path, *LINE, "sweep.detach=true", "sweep.workers=0")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["folder    sweep", "log       sweep/sweep.log"]
    assert lines[-1] == "resume    python -m exp -m sweep.resume=sweep"
    wait_until_it_ends(tmp_path / "sweep")
    attached = exp_in(tmp_path, *LINE[:-1], "hydra.sweep.dir=attached", "sweep.workers=0")
    assert table(tmp_path / "sweep") == table(tmp_path / "attached")
    texts = ((tmp_path / "sweep/sweep.log").read_text(), attached.stdout)
    rows = [[line.split() for line in text.splitlines() if line.startswith(("n ", "3 "))] for text in texts]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2
    assert process_of(tmp_path / "sweep") is None
    again = exp_in(tmp_path, "-m", "sweep.resume=sweep")
    assert again.returncode == 0
    assert "sweep.detach" not in again.stdout


@pytest.mark.slow
def test_a_job_that_runs_exp_is_not_the_process_of_the_sweep(tmp_path: Path):
    assert exp_in(tmp_path, *LONG, "sweep.detach=true").returncode == 0
    process = process_of(tmp_path / "sweep")
    assert process is not None
    sweep = psutil.Process(int(str(process["pid"])))
    try:
        (worker,) = sweep.children()
        assert not [name for name in worker.environ() if name.startswith("EXP_DETACHED")]
    finally:
        sweep.terminate()
        wait_until_it_ended(sweep)


def wait_until_it_ended(process: psutil.Process) -> None:
    deadline = time.monotonic() + 60
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer.lr=-1,0.1"], "optimizer.lr must be"),
        (["hydra/launcher=basic"], "sweep.detach=true: only exp's own launchers can detach"),
    ],
)
def test_a_wrong_line_is_answered_as_without_it_and_leaves_nothing(words: list[str], message: str, tmp_path: Path):
    done = exp_in(tmp_path, *LINE, *words, "sweep.detach=true", "sweep.workers=0")
    assert done.returncode == 1
    assert message in done.stderr
    assert "EXP_" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_sweep_is_resumed_by_the_same_line(tmp_path: Path):
    done = exp_in(tmp_path, *LONG, "sweep.detach=true")
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "sweep"
    process = process_of(sweep)
    assert process is not None
    assert f"stop      kill {process['pid']}" in done.stdout
    deadline = time.monotonic() + 60
    while not (sweep / "0/checkpoints/last.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert os.getsid(int(str(process["pid"]))) != os.getsid(0)  # it survives the terminal
    refused = exp_in(tmp_path, "-m", "sweep.resume=sweep")
    assert refused.returncode == 1
    assert "sweep is running: process " in refused.stderr
    assert "\n  try: wait for its end: python -m exp status sweep\n" in refused.stderr
    os.kill(int(str(process["pid"])), signal.SIGTERM)
    while heartbeat.is_alive(process, sweep / "sweep.json"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "interrupted and saved" in (sweep / "sweep.log").read_text()
    assert json.loads((sweep / "0/summary.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_a_sweep_that_another_machine_runs_is_not_resumed(tmp_path: Path):
    assert exp_in(tmp_path, *LINE).returncode == 0
    path = tmp_path / "sweep/sweep.json"
    content = json.loads(path.read_text())
    process = {**heartbeat.describe_process(), "host": "other", "boot_id": "other"}
    path.write_text(json.dumps({**content, "process": process}))
    refused = exp_in(tmp_path, "-m", "sweep.resume=sweep", "seed=4")
    assert refused.returncode == 1
    assert f"is running: process {os.getpid()} on other" in refused.stderr
    os.utime(path, (0, 0))  # its heartbeat has stopped
    assert exp_in(tmp_path, "-m", "sweep.resume=sweep", "seed=4").returncode == 0


@pytest.mark.slow
def test_a_job_that_another_machine_runs_is_not_started_twice(tmp_path: Path):
    assert exp_in(tmp_path, *LINE).returncode == 0
    path = tmp_path / "sweep/1/summary.json"
    content = {**json.loads(path.read_text()), "status": "running"}
    path.write_text(json.dumps({**content, "process": {**content["process"], "host": "other", "boot_id": "other"}}))
    refused = exp_in(tmp_path, "-m", "sweep.resume=sweep")
    assert refused.returncode == 1
    assert f"sweep/1 is running: process {content['process']['pid']} on other" in refused.stderr
    assert "without a heartbeat for 5 minutes the process counts as dead" in refused.stderr
    os.utime(path, (0, 0))  # its heartbeat has stopped
    assert exp_in(tmp_path, "-m", "sweep.resume=sweep").returncode == 0


def test_a_link_inside_the_folder_may_stay_there(tmp_path: Path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/link").symlink_to("submitted.sh")
    refuse_links(tmp_path / "sweep")
    (tmp_path / "sweep/outside").symlink_to("../other")
    with pytest.raises(ConfigError, match="sweep/outside is a link"):
        refuse_links(tmp_path / "sweep")


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path):
    """Files can be opened, and take nothing: here each may have no bytes."""
    full = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); os.execv(sys.executable, "
    words = ["-m", "exp", *LINE, "sweep.detach=true", "sweep.workers=0"]
    done = subprocess.run(
        [sys.executable, "-c", f"{full}[sys.executable, *sys.argv[1:]])", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "exp: the sweep ended with code 1, and wrote nothing to sweep/sweep.log\n"
        "  try: sweep.detach=false, which prints the reason\n"
    )
    assert not (tmp_path / "sweep").exists()


def test_a_log_that_cannot_be_opened_is_kept(tmp_path: Path):
    """It is that of an earlier launch of the sweep, which is resumed."""
    log = tmp_path / "sweep.log"
    log.write_text("earlier\n")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            start_detached([], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.filename == str(log)
    assert log.read_text() == "earlier\n"
