"""Worker processes that start before the jobs of a sweep are composed."""

import pytest

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


def test_a_worker_with_other_variables_is_another_process(monkeypatch: pytest.MonkeyPatch):
    """EXP_MODULES, which names the modules of a --config-dir, is set when the command is parsed."""
    first_process.start_first(["-m", "seed=0,1"])
    ((waiting, _),) = first_process._first
    monkeypatch.setenv("EXP_MODULES", "folder")
    worker_pool.start_workers_early("1")
    worker_pool.stop_early_workers()
    assert waiting.returncode is not None
    assert not first_process._first


@pytest.mark.parametrize("arguments", ["", "seed=0", "ls -m", "-m sweep.workers=0", "-m hydra/launcher=basic"])
def test_other_commands_start_no_worker(arguments: str):
    first_process.start_first(arguments.split())
    assert not first_process._first
