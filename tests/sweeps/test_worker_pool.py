"""Worker processes that start before the jobs of a sweep are composed."""

import pytest

from exp.sweeps.executors import worker_pool


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
