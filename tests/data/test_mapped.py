"""dataset.storage: rows in mapped files are those in memory, to the bit, and need little memory."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config_of

from exp.data import storage
from exp.data.mapped import cache, maps
from exp.data.mapped.cache import cache_folder, find_or_write
from exp.data.scalers.registry import SCALERS
from exp.data.splits import Splits
from exp.errors import ConfigError, DataError
from exp.training.build import build


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def assert_same(one: Splits, other: Splits) -> None:
    for name in ("train", "val", "test"):
        for part in ("x", "y", "weights", "row_numbers", "given"):
            ours, theirs = getattr(getattr(one, name), part), getattr(getattr(other, name), part)
            if ours is None or theirs is None:
                assert ours is theirs
                continue
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    assert one.preprocessing == other.preprocessing
    assert (one.fingerprint, one.split_fingerprint) == (other.fingerprint, other.split_fingerprint)
    assert one.notes == other.notes
    assert (one.train is one.val) == (other.train is other.val)


def both(line: str) -> tuple[Splits, Splits]:
    in_memory, mapped = (build(config_of(*line.split(), f"dataset.storage={one}")).data for one in ("memory", "mapped"))
    assert maps.is_mapped(mapped.train.x)
    assert not maps.is_mapped(in_memory.train.x)
    return in_memory, mapped


def write_arrays(rows: int = 1003) -> None:
    draw = np.random.default_rng(0)
    x = draw.lognormal(size=(rows, 5)).astype(np.float32)
    y = (x[:, 0] > 1).astype(np.int64) + (x[:, 1] > 2)
    np.save("x.npy", x)
    np.save("y.npy", y)
    np.savez("wide.npz", x=x.astype(np.float64) / 3, y=y + 0.5, w=x[:, 0] + 0.1)
    np.savez("columns.npz", x=np.asfortranarray(x), y=y.astype(str))
    np.savez_compressed("small.npz", x=(x * 9).astype(np.int16), y=np.stack([x[:, 0], x[:, 1]], 1))


@pytest.mark.parametrize(
    "source", ["x.npy dataset.y_path=y.npy", "wide.npz dataset.weight=w", "columns.npz", "small.npz"]
)
@pytest.mark.parametrize(
    "options",
    [
        "",
        "dataset.scaler=robust dataset.seed=5",
        "dataset.scaler=none dataset.split=null",
        "dataset.train_on_val=true",
        "folds=4 fold=1",
        "dataset.split=[.8,0,.2]",
    ],
)
def test_mapped_arrays_are_those_in_memory(source: str, options: str):
    write_arrays()
    assert_same(*both(f"dataset=arrays dataset.path={source} {options}"))


def test_classes_divided_evenly_and_a_dataset_of_a_function():
    write_arrays()
    assert_same(*both("dataset=arrays dataset.path=columns.npz dataset.stratify=true"))
    assert_same(*both("dataset=cancer +dataset.storage=memory"))


@pytest.mark.parametrize("kind", ["standard", "robust"])
@pytest.mark.parametrize("rows", [2, 7, 4099])
def test_a_column_alone_is_scaled_as_beside_others(kind: str, rows: int):
    x = np.random.default_rng(rows).lognormal(size=(rows, 9)) * 10.0 ** np.arange(-4, 5)
    x[:, 4] = 3.0
    features = x[:, np.ones(9, dtype=np.bool_)]
    alone = [SCALERS[kind].fit(np.ascontiguousarray(x[:, [number]])) for number in range(9)]
    assert SCALERS[kind].fit(features) == SCALERS[kind].join(alone)


def test_rows_of_a_large_map_are_taken_and_its_pages_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maps, "_MAY_STAY", 0)
    values = np.arange(4 * 5000, dtype=np.float32).reshape(5000, 4)
    values.tofile(tmp_path / "x")
    x, rows = torch.from_numpy(maps.map_array(tmp_path / "x", np.float32, (5000, 4))), torch.randperm(5000)
    assert torch.equal(maps.take_rows(x, rows), torch.from_numpy(values)[rows])
    x[3] = -1  # stays in this process, until its pages are released
    maps.release_pages(x)
    assert torch.equal(torch.cat(list(maps.iterate_parts(x, 999))), torch.from_numpy(values))


def test_files_too_large_for_memory_are_mapped_or_refused(monkeypatch: pytest.MonkeyPatch):
    write_arrays()
    monkeypatch.setattr("exp.data.memory._SMALL", 0)
    monkeypatch.setattr(storage, "available_memory", lambda: 2**17)
    line = "dataset=arrays dataset.path=x.npy dataset.y_path=y.npy".split()
    with pytest.raises(DataError) as caught:
        build(config_of(*line, "dataset.storage=memory"))
    assert "to load x.npy needs about 0.0 GiB of memory" in str(caught.value)
    assert caught.value.override == "dataset.storage=mapped"
    data = build(config_of(*line)).data
    assert maps.is_mapped(data.train.x)
    assert data.notes[0].startswith("rows in mapped files (dataset.storage=mapped): to load x.npy needs about")


def test_what_cannot_be_fitted_a_column_at_a_time_is_refused():
    write_arrays()
    np.savez("sequences.npz", x=np.random.default_rng(0).normal(size=(40, 3, 2)), y=np.arange(40) % 2)
    for path, scaler, fix in (("wide", "quantile", "robust"), ("sequences", "standard", "none")):
        with pytest.raises(ConfigError, match="cannot be fitted with") as caught:
            build(
                config_of(
                    "dataset=arrays", f"dataset.path={path}.npz", f"dataset.scaler={scaler}", "dataset.storage=mapped"
                )
            )
        assert caught.value.override == f"dataset.scaler={fix}"
    assert_same(*both("dataset=arrays dataset.path=sequences.npz dataset.scaler=none model=gru"))


def test_a_full_disk_is_an_error_before_anything_is_written(monkeypatch: pytest.MonkeyPatch):
    write_arrays()
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"the prepared dataset needs 0.0 GiB in .*cache, but 0.0 GiB are free"):
        build(config_of("dataset=arrays", "dataset.path=wide.npz", "dataset.storage=mapped"))
    assert not [path for path in cache_folder().iterdir() if path.is_dir()]


def test_the_cache_is_found_again_and_belongs_to_its_owner():
    write_arrays()
    line = "dataset=arrays dataset.path=wide.npz dataset.storage=mapped".split()
    build(config_of(*line))
    (folder,) = (path for path in cache_folder().iterdir() if path.is_dir())
    assert stat.S_IMODE(cache_folder().stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700
    written = (folder / "train.x").stat().st_mtime_ns
    build(config_of(*line))
    assert (folder / "train.x").stat().st_mtime_ns == written
    content = Path("wide.npz").read_bytes()
    Path("wide.npz").write_bytes(content)  # another time of change: the content may be another
    build(config_of(*line))
    assert sum(path.is_dir() for path in cache_folder().iterdir()) == 2


WRITER = """
import sys, time
from pathlib import Path
from exp.data.mapped.cache import find_or_write
def write(folder):
    (folder / "started").touch()
    print("writing", flush=True)
    time.sleep(float(sys.argv[1]))
    (folder / "x").write_text("whole")
print(find_or_write("key", "rows", write), flush=True)
"""


def writer(seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WRITER, str(seconds)], stdout=subprocess.PIPE, text=True)


def lines_of(process: "subprocess.Popen[str]") -> list[str]:
    return process.communicate(timeout=60)[0].splitlines()


def test_two_processes_that_need_the_same_dataset_write_it_once():
    first, second = writer(1.5), writer(1.5)
    output = [*lines_of(first), *lines_of(second)]
    assert output.count("writing") == 1
    assert output.count(str(cache_folder() / "key")) == 2


def test_what_a_killed_process_left_is_removed_by_the_next():
    with writer(60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        os.kill(process.pid, signal.SIGKILL)
    assert next(path.name for path in cache_folder().iterdir() if path.is_dir()).startswith("unfinished-key-")
    assert [entry.label for entry in cache.list_entries()] == ["unfinished"]
    folder = find_or_write("key", "rows", lambda to: (to / "x").write_text("whole") and None)
    assert (folder / "x").read_text() == "whole"
    assert [path.name for path in cache_folder().iterdir() if path.is_dir()] == ["key"]


def test_a_dataset_that_is_being_written_is_not_cleared():
    process = writer(3)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert cache.clear() == "removed 0 datasets, 0 MB; 1 dataset in use by another process"
    assert lines_of(process) == [str(cache_folder() / "key")]
    assert cache.clear() == "removed 1 dataset, 0 MB"
    assert list(cache_folder().iterdir()) == []
