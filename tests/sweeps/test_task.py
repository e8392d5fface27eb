"""A job leaves nothing behind in the process that ran it."""

import fcntl
import logging
import os
import sys
import threading
from pathlib import Path

import pytest

from exp.config.compose import compose_config, without_hydra
from exp.config.run_spec import RunSpec
from exp.config.schema import choices_of
from exp.config.validation import validate
from exp.results import summary
from exp.sweeps.executors import worker_process
from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.task import Outcome, Task, job_environment
from exp.training.reuse import JobCache


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEPT", "1")
    before = dict(os.environ)
    with job_environment({"KEPT": "2", "OWN": "3"}):
        assert (os.environ["KEPT"], os.environ["OWN"]) == ("2", "3")
        os.environ["SET_BY_THE_JOB"] = "4"
        del os.environ["PATH"]
    assert dict(os.environ) == before


def test_another_thread_always_sees_the_environment(monkeypatch: pytest.MonkeyPatch):
    """In a notebook a job runs in the notebook's process."""
    monkeypatch.setenv("KEPT", "1")
    is_over, seen = threading.Event(), set[str | None]()

    def watch() -> None:
        while not is_over.is_set():
            seen.add(os.environ.get("KEPT"))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for _ in range(1000):
            with job_environment({"OWN": "1"}):
                pass
    finally:
        is_over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert seen == {"1"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (3, "its process ended with exit code 3"),
        (-15, "its process was killed by SIGTERM"),
        (-40, "its process was killed by signal 40"),  # which has no name
    ],
)
def test_the_end_of_a_worker_is_described(code: int, message: str):
    assert worker_process._death_message(code) == message


def test_jobs_in_this_process_share_a_cache_as_those_of_a_worker_do():
    received: list[JobCache] = []

    class Job:
        def run(self, cache: JobCache, should_prune: object) -> Outcome:
            del should_prune
            received.append(cache)
            return Outcome()

    with InProcess() as executor:
        for _ in range(2):
            executor.submit(Job())
    assert received[0] is received[1]


def run_with_log(folder: Path, file: str) -> Outcome:
    """Train a job whose log is `file`, and leave no handler behind."""
    cfg = compose_config(["dataset=xor", "epochs=1", "figures=false"], with_hydra=True)
    spec = RunSpec(validate(without_hydra(cfg)), folder, "", choices_of(cfg.hydra.runtime.choices), [])
    handlers = {name: {"class": "logging.FileHandler", "filename": file} for name in ("one", "other")}
    log = {"version": 1, "handlers": handlers, "root": {"handlers": [*handlers], "level": "INFO"}}
    before = logging.getLogger().handlers[:]  # of pytest
    outcome = Task(spec, {**log, "disable_existing_loggers": False}, {}).run(JobCache(), None)
    left = [one for one in logging.getLogger().handlers if one not in before]
    assert not any(isinstance(one, logging.FileHandler) for one in left)
    return outcome


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that behaves like one on a full disk")
def test_a_job_whose_log_loses_lines_is_finished_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_with_log(tmp_path, "/dev/full") == Outcome()
    assert summary.read(tmp_path)["status"] == "finished"
    assert capsys.readouterr().err == 2 * "note: lines of /dev/full are lost: no space left on device\n"


def test_a_log_that_cannot_be_opened_fails_the_job_and_not_the_worker(tmp_path: Path):
    file = str(tmp_path / "missing/exp.log")
    assert run_with_log(tmp_path, file) == Outcome(f"{file} cannot be written: no such file or directory")


def test_a_job_whose_folder_another_process_uses_writes_nothing_there(tmp_path: Path):
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert run_with_log(tmp_path, f"{tmp_path}/exp.log") == Outcome(f"{tmp_path} is in use by another process")
    finally:
        os.close(handle)
    assert list(tmp_path.iterdir()) == []
