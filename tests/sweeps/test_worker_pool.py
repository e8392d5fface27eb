"""Worker processes that start before the jobs of a sweep are composed."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from exp.cli import main
from exp.cli.commands import COMMANDS
from exp.cli.diagnosis import CommandError
from exp.config.cores import usable_cores
from exp.sweeps.executors import first_process, worker_pool


@pytest.mark.parametrize(("setting", "count"), [("", 1), ("1", 1), ("2", 2), ("64", 2), ("two", 1)])
def test_the_workers_that_start_early_are_those_that_a_sweep_surely_has(setting: str, count: int):
    worker_pool.start_workers_early(setting)
    try:
        early = list(worker_pool._early)
        assert len(early) == count
        with worker_pool.WorkerPool(1) as pool:
            assert pool._processes == early[-1:]
    finally:
        worker_pool.stop_early_workers()
    assert all(worker._process.returncode is not None for worker in early)


@pytest.mark.parametrize("arguments", ["-m seed=0,1", "seed=0,1 --multirun", "sweep.workers=2 -m seed=0,1"])
def test_the_process_of_the_first_worker_starts_before_the_command_is_imported(
    arguments: str, monkeypatch: pytest.MonkeyPatch
):
    first_process.start_first(arguments.split())
    ((waiting, _),) = first_process._first
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as while a command is parsed
    worker_pool.start_workers_early("1")
    try:
        assert [worker._process for worker in worker_pool._early] == [waiting]
        assert not first_process._first
    finally:
        worker_pool.stop_early_workers()
    assert waiting.returncode is not None


@pytest.mark.parametrize("content", ["sweep: {workers: 0}", "sweep: {workers: 1}"])
def test_a_first_worker_that_no_job_can_have_does_not_wait_for_the_end_of_the_sweep(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The file of an experiment may have no workers, and EXP_MODULES, of a --config-dir, is set after it is read."""
    (tmp_path / "my.yaml").write_text(f"{{{content}, seed: '0,1'}}", encoding="utf-8")
    arguments = ["-m", str(tmp_path / "my.yaml")]
    first_process.start_first(arguments)
    ((waiting, _),) = first_process._first
    monkeypatch.setenv("EXP_MODULES", "folder")
    stopped: list[bool] = []
    monkeypatch.setattr(main, "run_application", lambda *_: stopped.append(waiting.returncode is not None))
    main.train_or_sweep(arguments)
    assert stopped == [True]


def test_where_no_worker_can_start_the_sweep_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> NoReturn:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", fail)
    arguments = ["-m", "seed=0,1"]
    first_process.start_first(arguments)
    with pytest.raises(CommandError) as caught:
        main.train_or_sweep(arguments)
    assert str(caught.value) == (
        "sweep.workers: no process can be started: resource temporarily unavailable\n"
        "  try: sweep.workers=0, which trains in this process"
    )


def test_other_commands_start_no_worker():
    other = [f"{command} -m" for command in COMMANDS]
    for arguments in ("", "seed=0", "-m sweep.workers=0", "-m hydra/launcher=basic", *other):
        first_process.start_first(arguments.split())
        assert not first_process._first, arguments


@pytest.mark.parametrize(
    ("workers", "threads", "cores", "advised"),
    [(2, 2, 2, 1), (2, 2, 4, None), (4, 16, 16, 4), (3, 8, 8, 2), (8, 2, 4, 1), (8, 1, 4, None), (1, 8, 4, None)],
)
def test_more_threads_than_cores_are_noted(workers: int, threads: int, cores: int, advised: int | None):
    note = worker_pool.describe_crowd(workers, threads, cores)
    assert (note is None) == (advised is None)
    assert note is None or f" on {cores} cores: threads={advised} is faster, and rounds differently" in note


def test_a_sweep_whose_jobs_share_their_cores_says_so_once(exp: Callable[..., subprocess.CompletedProcess[str]]):
    cores = max(2, usable_cores())
    line = ["-m", "dataset=xor", "epochs=1", "seed=0,1,2", "sweep.workers=2"]
    note = f"note: 2 jobs at a time with {cores} threads each on "
    assert exp(*line, f"threads={cores}").stdout.count(note) == 1
    assert "jobs at a time with" not in exp(*line, "threads=1").stdout


@pytest.mark.parametrize(
    ("threads", "cores", "seconds", "minutes"),
    [
        (1, 8, 59.0, None),
        (1, 8, 60.0, "1 minute"),
        (1, 2, 400.0, "7 minutes"),
        (8, 8, 400.0, None),
        (1, 1, 400.0, None),
    ],
)
def test_idle_cores_are_noted_if_much_is_left(threads: int, cores: int, seconds: float, minutes: str | None):
    note = worker_pool.describe_idle(threads, cores, seconds)
    is_faster = "more: sweep.workers=auto is faster, with the same results"
    assert note == (minutes and f"1 of {cores} cores is used, for about {minutes} {is_faster}")


def test_a_sweep_on_one_of_several_cores_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setattr(worker_pool, "_MANY_SECONDS", 1e-6)
    monkeypatch.setattr(worker_pool, "usable_cores", lambda: 8)
    main.train_or_sweep(["-m", "dataset=xor", "epochs=1", "seed=0,1,2", f"hydra.sweep.dir={tmp_path}/sweep"])
    assert (
        capsys.readouterr().out.count("note: 1 of 8 cores is used, for about 0 minutes more: sweep.workers=auto") == 1
    )
