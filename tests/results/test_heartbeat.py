"""A run whose process is gone is `died`, wherever a status is read. Real processes, killed by kill -9."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import forking
import pytest

from exp import train
from exp.results import heartbeat, summary, sweep_csv
from exp.results.job_counts import count_jobs
from exp.results.run_folder import SUMMARY

ENDLESS = "dataset=xor epochs=100000000 figures=false save_every=1epoch".split()


def exp_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp", list(words), folder)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed while it trained."""
    folder = tmp_path_factory.mktemp("killed")
    process = forking.begin("exp", *ENDLESS, "hydra.run.dir=run", folder=folder)
    wait_for(folder / "run/checkpoints/last.pt")
    assert summary.read(folder / "run")["status"] == "running"
    process.kill()
    process.communicate()
    return folder / "run"


def rewrite(folder: Path, run: Path, **process: Any) -> Path:
    """Write the summary.json of `run`, with another record of its process, to `folder`."""
    content = json.loads((run / SUMMARY).read_text())
    (folder / SUMMARY).write_text(json.dumps({**content, "process": {**content["process"], **process}}))
    return folder


def test_a_killed_run_has_died(killed: Path):
    stored = json.loads((killed / SUMMARY).read_text())
    assert stored["status"] == "running"  # nothing could write another word
    found = summary.read(killed)
    assert found["status"] == "died"
    assert found["error"].startswith(f"its process {stored['process']['pid']} on {stored['process']['host']} is gone")
    assert "killed, its disk was full, or" in found["error"]  # a full disk keeps no summary of the failure
    row = sweep_csv.read_row(killed)
    assert (row["status"], row["error"]) == ("died", found["error"])
    assert count_jobs(killed.parent, [row]) == {"died": 1}


def test_the_id_of_a_killed_process_may_belong_to_another_one(killed: Path, tmp_path: Path):
    other = rewrite(tmp_path, killed, pid=os.getpid())
    assert summary.read(other)["status"] == "died"
    own = heartbeat.describe_process()
    assert summary.read(rewrite(tmp_path, killed, **own))["status"] == "running"


def test_a_process_that_was_killed_and_is_not_yet_awaited_has_died(killed: Path, tmp_path: Path):
    code = "import json; from exp.results.heartbeat import describe_process as d; print(json.dumps(d()), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", f"{code}; input()"], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    record = json.loads(process.stdout.readline())
    folder = rewrite(tmp_path, killed, **record)
    assert summary.read(folder)["status"] == "running"
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert summary.read(folder)["status"] == "died"
    process.communicate()
    assert summary.read(folder)["status"] == "died"


@pytest.mark.parametrize("where", ["boot_id", "pid_namespace"])
def test_on_another_machine_a_run_has_died_when_its_heartbeat_is_old(where: str, killed: Path, tmp_path: Path):
    folder = rewrite(tmp_path, killed, **{where: "another"})
    for age, status in ((0, "running"), (200, "running"), (301, "died"), (1e6, "died")):
        at = time.time() - age
        os.utime(folder / SUMMARY, (at, at))
        assert summary.read(folder)["status"] == status


def test_the_heartbeat_is_the_time_of_the_summary_until_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_BEATS", 0.01)
    monkeypatch.setattr(heartbeat, "_threads", [])  # that of an earlier run waits for longer
    path = tmp_path / SUMMARY
    path.touch()
    beat = heartbeat.Heartbeat(path)
    os.utime(path, (0, 0))
    time.sleep(0.1)  # as in one long step
    assert heartbeat.seconds_since_beat(path) < 60
    path.unlink()
    time.sleep(0.05)
    path.touch()
    os.utime(path, (0, 0))
    time.sleep(0.1)
    assert heartbeat.seconds_since_beat(path) < 60  # the folder was away for a moment
    beat.stop()
    time.sleep(0.1)
    os.utime(path, (0, 0))
    time.sleep(0.1)
    assert path.stat().st_mtime == 0


def _count_beating() -> int:
    """Return the number of threads of heartbeats; those that wait for the disk start when they are needed."""
    return sum("_beat" in thread.name for thread in threading.enumerate())


def test_a_heartbeat_at_every_moment_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    calm = train("dataset=xor", "hydra.run.dir=calm", "figures=false", epochs=200)
    threads = _count_beating()
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_BEATS", 1e-4)
    monkeypatch.setattr(heartbeat, "_threads", [])
    busy = train("dataset=xor", "hydra.run.dir=busy", "figures=false", epochs=200)
    columns = [name for name in calm.metrics if name != "seconds"]
    assert calm.metrics[columns].equals(busy.metrics[columns])
    assert calm.final == busy.final
    time.sleep(0.05)
    assert _count_beating() == threads


def test_all_heartbeats_of_a_process_have_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heartbeat, "SECONDS_BETWEEN_BEATS", 0.01)
    monkeypatch.setattr(heartbeat, "_threads", [])
    threads, paths = _count_beating(), [tmp_path / "sweep.json", tmp_path / SUMMARY]
    beats = [heartbeat.Heartbeat(path) for path in paths]
    for path in paths:
        path.touch()
        os.utime(path, (0, 0))
    time.sleep(0.1)
    assert all(heartbeat.seconds_since_beat(path) < 60 for path in paths)
    assert _count_beating() == threads + 1
    beats[1].stop()  # a job has ended, and the sweep continues
    time.sleep(0.05)
    for path in paths:
        os.utime(path, (0, 0))
    time.sleep(0.1)
    assert heartbeat.seconds_since_beat(paths[0]) < 60
    assert paths[1].stat().st_mtime == 0
    beats[0].stop()
    time.sleep(0.1)
    assert _count_beating() == threads
    heartbeat.Heartbeat(paths[1]).stop()  # a later job
    assert _count_beating() == threads + 1


def test_a_process_that_was_forked_tells_its_own_start():
    own = heartbeat.describe_process()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, json.dumps(heartbeat.describe_process()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert json.loads(os.read(read, 4096))["pid"] == child != own["pid"]


def test_commands_tell_that_the_run_died(killed: Path):
    done = exp_in(killed.parent, "evaluate", "run=run", "split=train")
    assert "note: run died, not finished; to resume it: python -m exp resume=run\n" in done.stdout
    assert exp_in(killed.parent, "report", "run=run").returncode == 0
    assert "died" in (killed / "report.html").read_text()


def test_a_run_that_died_while_it_was_built_can_be_started_again(killed: Path, tmp_path: Path):
    (tmp_path / "run").mkdir()
    rewrite(tmp_path / "run", killed)
    assert exp_in(tmp_path, "dataset=xor", "epochs=2", "figures=false", "hydra.run.dir=run").returncode == 0
    refused = exp_in(killed.parent, "dataset=xor", "epochs=2", "hydra.run.dir=run")
    assert refused.returncode == 1
    assert "resume=run" in refused.stderr
