"""dataset.storage: rows in mapped files are those in memory, to the bit, and need little memory."""

import errno
import gzip
import hashlib
import io
import lzma
import os
import re
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from any_tables import KINDS, make_table
from conftest import config_of, one_in

import exp.cache
from exp.data import storage
from exp.data.columns.number import NumberColumn
from exp.data.dataset import Dataset
from exp.data.estimate import estimate_memory
from exp.data.files import table
from exp.data.mapped import cache, maps
from exp.data.mapped.cache import cache_folder, find_or_write
from exp.data.mapped.open import open_splits
from exp.data.mapped.scratch import Scratch
from exp.data.mapped.write import Choices
from exp.data.prepare import prepare
from exp.data.preprocessing import Preprocessing
from exp.data.reading.streamed import StreamedTable
from exp.data.scalers.registry import SCALERS
from exp.data.splits import Splits
from exp.data.user_dataset import read_rows
from exp.errors import ConfigError, DataError, ExpError
from exp.training.build import build


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


LZMA = lzma.compress(b"a,b\n" + b"1,2\n" * 5000)


def assert_same(one: Splits, other: Splits) -> None:
    for name in ("train", "val", "test"):
        for part in ("x", "y", "weights", "row_numbers", "given"):
            ours, theirs = getattr(getattr(one, name), part), getattr(getattr(other, name), part)
            if ours is None or theirs is None:
                assert ours is theirs
                continue
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    assert one.preprocessing.to_json() == other.preprocessing.to_json()
    assert (one.fingerprint, one.split_fingerprint) == (other.fingerprint, other.split_fingerprint)
    assert one.notes == other.notes
    assert (one.train is one.val) == (other.train is other.val)


def both(line: str) -> tuple[Splits, Splits]:
    in_memory, mapped = (
        build(config_of(*line.split(), f"++dataset.storage={one}")).data for one in ("memory", "mapped")
    )
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


SOURCES = ["x.npy dataset.y_path=y.npy", "wide.npz dataset.weight=w", "columns.npz", "small.npz"]
OPTIONS = [
    "",
    "dataset.scaler=robust dataset.seed=5",
    "dataset.scaler=none dataset.split=null",
    "dataset.train_on_val=true",
    "folds=4 fold=1",
    "dataset.split=[.8,0,.2]",
]


@pytest.mark.parametrize(("source", "options"), one_in(5, product(SOURCES, OPTIONS)))
def test_mapped_arrays_are_those_in_memory(source: str, options: str):
    write_arrays()
    assert_same(*both(f"dataset=arrays dataset.path={source} {options}"))


def test_classes_divided_evenly_and_a_dataset_of_a_function():
    write_arrays()
    assert_same(*both("dataset=arrays dataset.path=columns.npz dataset.stratify=true"))
    assert_same(*both("dataset=cancer"))


@pytest.mark.parametrize("kind", ["standard", "robust"])
@pytest.mark.parametrize("rows", [2, 7, 4099])
def test_a_column_alone_is_scaled_as_beside_others(kind: str, rows: int):
    x = np.random.default_rng(rows).lognormal(size=(rows, 9)) * 10.0 ** np.arange(-4, 5)
    x[:, 4] = 3.0
    features = x[:, np.ones(9, dtype=np.bool_)]
    alone = [SCALERS[kind].fit(np.ascontiguousarray(x[:, [number]])) for number in range(9)]
    assert SCALERS[kind].fit(features) == SCALERS[kind].join(alone)


@pytest.mark.parametrize("available", [0, 2**30])
def test_rows_of_a_large_map_are_taken_and_its_pages_released(
    available: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(maps, "_MAY_STAY", 0)
    monkeypatch.setattr(maps, "available_memory", lambda: available)
    values = np.arange(4 * 5000, dtype=np.float32).reshape(5000, 4)
    values.tofile(tmp_path / "x")
    x, rows = torch.from_numpy(maps.map_array(tmp_path / "x", np.float32, (5000, 4))), torch.randperm(5000)
    assert torch.equal(maps.take_rows(x, rows), torch.from_numpy(values)[rows])
    assert torch.equal(maps.take_rows(x[1000:], rows[rows < 4000]), torch.from_numpy(values)[1000:][rows[rows < 4000]])
    x[3] = -1  # stays in this process, until its pages are released
    maps.release_pages(x)
    assert torch.equal(torch.cat(list(maps.iterate_parts(x, 999))), torch.from_numpy(values))


def vm_flags(array: torch.Tensor) -> set[str]:
    """Return what the kernel says of the pages around the first value: rr is read at random, sr in sequence."""
    is_here = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            is_here = int(match[1], 16) <= array.data_ptr() < int(match[2], 16)
        elif is_here and line.startswith("VmFlags:"):
            return set(line.split()[1:])
    raise AssertionError


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/smaps")
@pytest.mark.parametrize("is_beyond_memory", [True, False])
def test_a_map_beyond_memory_is_not_read_ahead_for_rows_in_random_order(
    is_beyond_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The system would read megabytes for each row; of a file that fits, it reads all at once and keeps it."""
    monkeypatch.setattr(maps, "_MAY_STAY", 0)
    monkeypatch.setattr(maps, "available_memory", lambda: 159_999 if is_beyond_memory else 160_000)
    np.arange(20000, dtype=np.float32).tofile(tmp_path / "x")
    x = torch.from_numpy(maps.map_array(tmp_path / "x", np.float32, (5000, 4)))
    during: list[set[str]] = []
    select = torch.index_select

    def record(*arguments: Any, **options: Any) -> torch.Tensor:
        during.append(vm_flags(x))
        return select(*arguments, **options)

    parts = maps.iterate_parts(x, 2500)
    assert "sr" in vm_flags(next(parts))
    monkeypatch.setattr(torch, "index_select", record)
    maps.take_rows(x, torch.randperm(5000)[:200])
    assert len(during) == 1
    assert ("rr" in during[0]) == is_beyond_memory
    assert not {"rr", "sr"} & vm_flags(x)
    assert len(list(parts)) == 1
    assert not {"rr", "sr"} & vm_flags(x)


def test_files_too_large_for_memory_are_mapped_or_refused(monkeypatch: pytest.MonkeyPatch):
    write_arrays()
    monkeypatch.setattr("exp.data.estimate._SMALL", 0)
    monkeypatch.setattr(storage, "available_memory", lambda: 2**17)
    line = "dataset=arrays dataset.path=x.npy dataset.y_path=y.npy".split()
    with pytest.raises(DataError) as caught:
        build(config_of(*line, "dataset.storage=memory"))
    assert "to load x.npy needs about 0.2 MB of memory, and 0.1 MB are available" in str(caught.value)
    assert caught.value.override == "dataset.storage=mapped"
    data = build(config_of(*line)).data
    assert maps.is_mapped(data.train.x)
    assert data.notes[0].startswith("rows in mapped files (dataset.storage=mapped): to load x.npy needs about")


@pytest.mark.parametrize("damaged", [b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 9, LZMA[:30] + b"\xff" * 99, bytes(1000)])
def test_the_reader_says_what_is_wrong_with_a_damaged_file(damaged: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exp.data.estimate._SMALL", 0)
    Path("rows.csv").write_bytes(damaged)
    node = {"_target_": "exp.data.files.table", "path": "rows.csv", "target": "a"}
    assert (estimate_memory(node, [Path("rows.csv")]) or 0) < 10**6  # no error here


def test_what_cannot_be_fitted_a_column_at_a_time_is_refused():
    write_arrays()
    np.savez("sequences.npz", x=np.random.default_rng(0).normal(size=(40, 3, 2)), y=np.arange(40) % 2)
    for path, scaler, fix in (("wide", "quantile", "robust"), ("sequences", "standard", "none")):
        with pytest.raises(ConfigError, match="needs all rows in memory") as caught:
            build(
                config_of(
                    "dataset=arrays", f"dataset.path={path}.npz", f"dataset.scaler={scaler}", "dataset.storage=mapped"
                )
            )
        assert caught.value.override == f"dataset.scaler={fix}"
    assert_same(*both("dataset=arrays dataset.path=sequences.npz dataset.scaler=none model=gru"))


def test_an_embedding_that_needs_all_rows_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    write_arrays()
    monkeypatch.setattr("exp.training.build_model.available_memory", lambda: 2**10)
    line = "dataset=arrays dataset.path=wide.npz dataset.storage=mapped".split()
    with pytest.raises(ConfigError, match="MLP fits its embedding to all training rows in memory") as caught:
        build(config_of(*line, "model=mlp", "model.embedding=piecewise"))
    assert caught.value.override == "model.embedding=null"
    build(config_of(*line, "model=mlp"))


def test_a_full_disk_is_an_error_before_anything_is_written(monkeypatch: pytest.MonkeyPatch):
    write_arrays()
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"the prepared dataset needs at least 8.0 kB in .*cache, but 1.0 kB are free"):
        build(config_of("dataset=arrays", "dataset.path=wide.npz", "dataset.storage=mapped"))
    assert not [path for path in cache_folder().iterdir() if path.is_dir()]
    usage.free = 50_000  # for the columns, but not for a feature for each word
    Path("words.csv").write_text("word,y\n" + "".join(f"w{row % 150},{row}.5\n" for row in range(300)))
    line = "dataset=table dataset.path=words.csv dataset.target=y dataset.storage=mapped dataset.max_categories=null"
    with pytest.raises(DataError, match=r"of another disk, or fewer features, such as dataset.max_categories=20$"):
        build(config_of(*line.split(), "dataset.kinds={word:category}"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"the disk of .*cache became full while the dataset was prepared\n"),
        (errno.EFBIG, r"a file of the prepared dataset is larger than .*\n  try: ulimit -f unlimited, or EXP_CACHE="),
    ],
)
@pytest.mark.parametrize("function", ["posix_fallocate", "pwrite", "fsync"])
def test_a_disk_that_another_process_fills_is_an_error(
    function: str, code: int, message: str, monkeypatch: pytest.MonkeyPatch
):
    """Not a bus error, with which the system answers the use of a mapped page that the disk has no place for."""
    write_arrays()
    full = Mock(side_effect=OSError(code, os.strerror(code)))
    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(DataError, match=message):
            build(config_of("dataset=arrays", "dataset.path=small.npz", "dataset.storage=mapped"))
    assert full.called
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


@pytest.mark.parametrize("change", ["replaced", "appended", "removed"])
def test_a_file_that_changes_while_it_is_read_is_an_error(change: str, monkeypatch: pytest.MonkeyPatch):
    """The columns are read one after the other: rows of both versions would be mixed in the cache."""
    old, new = ("a,b,y\n" + "".join(f"{i * f},{i % 7 * f},{i}.5\n" for i in range(50)) for f in (1, 100))
    Path("rows.csv").write_text(old)
    line = "dataset=table dataset.path=rows.csv dataset.target=y dataset.storage=mapped".split()
    monkeypatch.setattr("exp.data.mapped.table._AT_A_TIME", 1)
    read = StreamedTable.read

    def read_and_change(self: StreamedTable, names: set[str]) -> Any:
        found = read(self, names)
        if change == "replaced":
            Path("new.csv").write_text(new)
            Path("new.csv").replace("rows.csv")
        elif change == "appended":
            with Path("rows.csv").open("a") as file:
                file.write("1,2,3.5\n")
        else:
            Path("rows.csv").unlink(missing_ok=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(StreamedTable, "read", read_and_change)
        with pytest.raises(DataError, match=r"rows.csv: the file changed while its rows were read\n"):
            build(config_of(*line))
    assert not [path for path in cache_folder().iterdir() if path.is_dir()]


WRITER = """
import sys, time
from pathlib import Path
from exp.data.mapped.cache import find_or_write
def write(folder):
    (folder / "started").touch()
    print("writing", flush=True)
    time.sleep(float(sys.argv[1]))
    (folder / "x").write_text("whole")
print(find_or_write("content", "rows", write), flush=True)
"""
KEY = hashlib.sha256(b"content").hexdigest()[:32]


def writer(seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WRITER, str(seconds)], stdout=subprocess.PIPE, text=True)


def lines_of(process: "subprocess.Popen[str]") -> list[str]:
    return process.communicate(timeout=60)[0].splitlines()


def test_two_processes_that_need_the_same_dataset_write_it_once():
    first, second = writer(0.7), writer(0.7)
    output = [*lines_of(first), *lines_of(second)]
    assert output.count("writing") == 1
    assert output.count(str(cache_folder() / KEY)) == 2
    assert not list(cache_folder().glob("*.lock"))


def test_what_a_killed_process_left_is_removed_by_the_next():
    with writer(60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        os.kill(process.pid, signal.SIGKILL)
    assert next(path.name for path in cache_folder().iterdir() if path.is_dir()).startswith(f"unfinished-{KEY}-")
    assert [entry.label for entry in cache.list_entries()] == ["unfinished"]
    folder = find_or_write("content", "rows", lambda to: (to / "x").write_text("whole") and None)
    assert (folder / "x").read_text() == "whole"
    assert [path.name for path in cache_folder().iterdir()] == [KEY]


@pytest.mark.slow
def test_a_dataset_that_is_being_written_is_not_cleared():
    process = writer(3)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert cache.clear() == "removed 0 datasets, 0 MB; 1 dataset in use by another process"
    assert lines_of(process) == [str(cache_folder() / KEY)]
    assert cache.clear() == "removed 1 dataset, 0 kB"
    assert list(cache_folder().iterdir()) == []


def write_table(path: str, rows: int = 400, seed: int = 0) -> None:
    draw = np.random.default_rng(seed)
    town = draw.choice(["Graz", "Linz", "NA", "None", "Wien "], rows)
    number = np.where(draw.random(rows) < 0.1, "", [f"{value:.3f}" for value in draw.normal(size=rows)])
    count = draw.integers(0, 5, rows).astype(str)
    count[: rows // 2] = draw.integers(0, 5, rows // 2).astype(str)
    late = np.where(np.arange(rows) == rows - 1, "3.5", draw.integers(10**15, 10**16, rows).astype(str))
    code = np.where(np.arange(rows) == rows - 3, "x1", draw.integers(0, 9, rows).astype(str))
    date = [
        f"2020-{month:02}-{day:02}"
        for month, day in zip(draw.integers(1, 13, rows), draw.integers(1, 28, rows), strict=True)
    ]
    flag = draw.choice(["True", "False", ""], rows)
    money = [f"${value:,.2f}" for value in draw.uniform(0, 5000, rows)]
    price = [f"{value:.2f}" for value in draw.uniform(1, 9, rows)]
    price[5] = ""
    group = draw.integers(0, 40, rows)
    cells = (range(1, rows + 1), town, number, count, late, code, date, flag, money, group, price)
    names = "id,town,number,count,late,code,date,flag,money,group,price"
    lines = [
        ",".join(f'"{cell}"' if "," in str(cell) else str(cell) for cell in row) for row in zip(*cells, strict=True)
    ]
    Path(path).write_text("\n".join([names, *lines]) + "\n")


TABLE = "dataset=table dataset.path=rows.csv dataset.target=price model=mlp"


OF_TABLES = [
    "dataset.missing=median dataset.scaler=robust dataset.max_categories=2",
    "",
    "dataset.target=code dataset.keep_words=[NA] dataset.stratify=true dataset.encode=onehot folds=3 fold=2",
    "dataset.group=group dataset.drop=[date]",
    "dataset.order=date dataset.kinds={code:category,count:category}",
    "dataset.target=town dataset.weight=group dataset.na_values=[None]",
    "dataset.target=[price,group] dataset.missing={number:median,flag:auto}",
    "dataset.target=10 dataset.encode=embedding model=realmlp",
]


@pytest.mark.parametrize("options", one_in(2, OF_TABLES))
def test_a_mapped_table_is_the_one_in_memory(options: str, monkeypatch: pytest.MonkeyPatch):
    """Although its types show in different parts of the file, and a few columns are read at a time."""
    monkeypatch.setattr("exp.data.reading.text_parts._CELLS", 11 * 50)
    monkeypatch.setattr("exp.data.mapped.table._AT_A_TIME", 400 * 8 * 3)
    write_table("rows.csv")
    words = {word.partition("=")[0]: word for word in f"{TABLE} {options}".split()}
    in_memory, mapped = both(" ".join(words.values()))
    assert sorted(in_memory.notes) != []
    assert_same(replace(in_memory, notes=()), replace(mapped, notes=()))


@pytest.mark.parametrize("suffix", ["csv", pytest.param("parquet", marks=pytest.mark.slow)])
def test_files_of_a_folder_or_a_pattern_are_one_table(suffix: str, monkeypatch: pytest.MonkeyPatch):
    pd = pytest.importorskip("pandas")
    write_table("rows.csv")
    whole = pd.read_csv("rows.csv", dtype=str, keep_default_na=False)
    Path("parts").mkdir()
    for number, start in enumerate(range(0, 400, 150)):
        part = whole.iloc[start : start + 150]
        if suffix == "csv":
            part.to_csv(f"parts/{number}.csv", index=False)
        else:
            part.assign(number=pd.to_numeric(part["number"]), count=part["count"].astype(int)).to_parquet(
                f"parts/{number}.parquet"
            )
    monkeypatch.setattr("exp.data.mapped.table._AT_A_TIME", 400 * 8 * 3)
    in_folder = both(TABLE.replace("rows.csv", "parts"))
    by_pattern = both(TABLE.replace("rows.csv", f"parts/*.{suffix}"))
    one_file = both(TABLE)
    for in_memory, mapped in (in_folder, by_pattern):
        for one in (in_memory, mapped):
            assert "3 files: 0" in one.notes[0]
            assert_same(replace(one, notes=()), replace(one_file[0], notes=()))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"%PDF-1.7", "the file is a PDF document"),
        (b"a,b\n1,2,3\n4,5\n", "line 2 has 3 cells"),
        (gzip.compress(b"a,b\n" + bytes(Random(0).choices(b"12345", k=5000)))[:900], "the file cannot be read"),
    ],
)
@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_damaged_file_of_several_is_named(content: bytes, problem: str, is_mapped: bool, tmp_path: Path):
    Path("parts").mkdir()
    for number in range(3):
        Path(f"parts/{number}.csv").write_bytes(b"a,b\n1,2\n" if number != 1 else content)
    found = load("parts", "a", Scratch(tmp_path) if is_mapped else None)
    assert isinstance(found, str)
    assert f"dataset.path=parts/1.csv: {problem}" in found


def load(path: str, target: str | int, scratch: Scratch | None) -> Dataset | str:
    try:
        return table(path, target, scratch=scratch)
    except ExpError as error:
        return str(error)


def check_any_table(seed: int, tmp_path: Path) -> bool:
    """Return whether the table is read; assert that it is the same, or refused by both."""
    random = Random(seed)
    kinds = random.choices([*KINDS], k=random.randint(1, 6))
    made = make_table(random, random.randint(1, 40), [*kinds, "integer"], random.choice((0.0, 0.0, 0.1)))
    path = str(made.write(tmp_path))
    in_memory, mapped = (load(path, len(kinds), scratch) for scratch in (None, Scratch(tmp_path)))
    if isinstance(in_memory, str) or isinstance(mapped, str):
        assert isinstance(in_memory, str) == isinstance(mapped, str), (in_memory, mapped)
        return False
    assert in_memory.columns == mapped.columns
    assert in_memory.fingerprint == mapped.fingerprint
    assert np.array_equal(in_memory.row_numbers, mapped.row_numbers)
    assert (in_memory.classes, in_memory.targets) == (mapped.classes, mapped.targets)
    return True


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 200), marks=pytest.mark.slow)])
def test_any_table_is_mapped_as_in_memory_or_refused(seeds: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exp.data.reading.text_parts._CELLS", 30)
    monkeypatch.setattr("exp.data.mapped.table._AT_A_TIME", 300)
    assert sum(check_any_table(seed, tmp_path) for seed in seeds) > len(seeds) / 3


def test_categories_of_many_words_are_written_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch):
    """4,000 features of a column in float64 would take gigabytes for the rows of a block of columns."""
    words = [f"w{number}" for number in range(300)]
    Path("rows.csv").write_text("\n".join(["word,number,y", *(f"{w},{i},{i % 7}.5" for i, w in enumerate(words * 4))]))
    sizes: list[int] = []
    transform = Preprocessing.transform

    def record(self: Preprocessing, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        features = transform(self, x)
        sizes.append(features.size)
        return features

    monkeypatch.setattr("exp.data.mapped.write._VALUES", 10_000)
    monkeypatch.setattr(Preprocessing, "transform", record)
    line = "dataset=table dataset.path=rows.csv dataset.target=y dataset.max_categories=null model=mlp"
    data = build(config_of(*line.split(), "dataset.storage=mapped")).data
    assert len(data.features) > 250
    assert max(sizes) <= 10_000


def test_rows_that_depend_on_all_columns_are_refused():
    write_table("rows.csv")
    for options, fix in (
        ("dataset.missing=drop", "dataset.missing=auto, or dataset.storage=memory"),
        ("dataset.test_path=rows.csv", "the rows in one table with dataset.split_column, or dataset.storage=memory"),
    ):
        with pytest.raises(ConfigError) as caught:
            build(config_of(*TABLE.split(), options, "dataset.storage=mapped"))
        assert caught.value.fix == fix


MINE = """
import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

class Rows(Dataset):
    target_names = ("no", "yes")

    def __init__(self, rows=200):
        self.x = torch.from_numpy(np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.x[number], int(self.x[number].sum() > 0)

class Stream(IterableDataset):
    def __iter__(self):
        yield from Rows()

class Unread(Rows):
    def __getitem__(self, number):
        return super().__getitem__(number) if number < 7 else {}["late"]

class Uncounted(Rows):
    def __len__(self):
        return self.missing  # no such attribute

class Unmade(Rows):
    def __init__(self):
        raise OSError("no connection")

class Endless(Dataset):
    def __getitem__(self, number):
        return Rows()[number]

class Ragged(Rows):
    def __getitem__(self, number):
        return self.x[number, : 3 + (number < 7)], 0

def arrays():
    rows = Rows()
    return rows.x.numpy(), np.array([y for _, y in (rows[i] for i in range(len(rows)))])
"""


def test_a_torch_dataset_is_its_rows(monkeypatch: pytest.MonkeyPatch):
    Path("mine_mapped.py").write_text(MINE)
    monkeypatch.syspath_prepend(".")
    monkeypatch.setattr("exp.config.allowlist.USER_PACKAGES", ("mine_mapped",))
    line = "dataset=iris dataset._target_=mine_mapped."
    data = both(f"{line}Rows +dataset.rows=150")
    assert_same(*data)
    assert data[0].classes == ("no", "yes")
    assert sum(map(len, data[0].splits.values())) == 150
    rows, arrays = (build(config_of(*f"{line}{name}".split())).data for name in ("Rows", "arrays"))
    assert torch.equal(rows.train.x, arrays.train.x)
    assert torch.equal(rows.train.y, arrays.train.y)
    for name, problem in (
        ("Stream", "Stream is an iterable dataset"),
        ("Ragged", r"row 7 of Ragged is float32 \[3\]"),
        ("Endless", "Endless has no __len__, the number of its rows\n  try: add __len__ to Endless"),
        (
            "Unread",
            r"row 7 of Unread failed: KeyError: 'late'\n  at: mine_mapped.py:\d+: .*\n  try: correct the source",
        ),
        ("Uncounted", r"Uncounted.__len__\(\) failed: AttributeError: .*\n  at: mine_mapped.py:\d+: .* # no such"),
        ("Unmade", r"mine_mapped.Unmade\(\) failed: OSError: no connection\n  at: mine_mapped.py:\d+: raise OSError"),
    ):
        with pytest.raises(DataError, match=problem):
            build(config_of(*f"{line}{name}".split()))


@pytest.mark.parametrize("line", ["dataset=arrays dataset.path=wide.npz", TABLE, "dataset=iris"])
def test_the_progress_of_the_preparation_is_reported(line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exp.data.mapped.table._AT_A_TIME", 400 * 8 * 3)
    write_arrays()
    write_table("rows.csv")
    config, done = config_of(*line.split(), "++dataset.storage=mapped"), list[int]()
    build(config, on_progress=done.append)
    assert done == sorted(done)
    assert done[-1] == 100
    assert len(set(done)) > 5
    done.clear()
    build(config, on_progress=done.append)
    assert done == [] or line == "dataset=iris"  # the rows of a function are loaded again, and compared


@pytest.mark.parametrize(("x", "kind"), [({"a": 1}, "dict"), (None, "NoneType"), ([1, [2, 3]], "list")])
@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_row_of_other_objects_is_an_error(x: object, kind: str, is_mapped: bool, tmp_path: Path):
    class Rows:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, number: int) -> tuple[Any, int]:
            return x, 0

    with pytest.raises(DataError, match=f"x of row 0 of Rows must be an array of numbers, got {kind}"):
        read_rows(Rows(), Scratch(tmp_path) if is_mapped else None)


def test_each_row_of_a_torch_dataset_is_read_once():
    numbers: list[int] = []

    class Rows:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, number: int) -> tuple[Any, int]:
            numbers.append(number)
            return np.ones(2), number

    assert read_rows(Rows(), None).target.tolist() == [0, 1, 2]
    assert numbers == [0, 1, 2]


def test_the_cache_is_listed_and_cleared(exp: Any, tmp_path: Path):
    assert exp("cache").stdout == f"{tmp_path}/cache: 0 datasets, 0 MB\n"
    find_or_write("content", "rows.csv, split null", lambda to: (to / "x").write_bytes(bytes(2_000_000)) and None)
    listed = exp("cache")
    assert listed.stdout == f"         2 MB  rows.csv, split null\n{tmp_path}/cache: 1 dataset, 2 MB\n"
    refused = exp("cache", "clear")
    assert refused.returncode == 1
    assert "try: python -m exp cache clear --yes" in refused.stderr
    assert exp("cache", "clear", "--yes").stdout == "removed 1 dataset, 2 MB\n"
    assert not [*(tmp_path / "cache").iterdir()]


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache_folder(create=True)
    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
        with pytest.raises(DataError, match=r"EXP_CACHE: .*cache cannot be written: Permission denied\n  try: EXP"):
            find_or_write("content", "rows", lambda _: None)
    (tmp_path / "file").touch()
    monkeypatch.setenv("EXP_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        DataError, match=f"EXP_CACHE: {tmp_path}/file cannot be written: {tmp_path}/file is not a folder"
    ):
        find_or_write("content", "rows", lambda _: None)


def test_a_scratch_file_that_cannot_be_made_is_an_error_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = Mock(side_effect=PermissionError(13, "Permission denied"))
    monkeypatch.setattr("exp.data.mapped.scratch.tempfile.mkstemp", refused)
    with pytest.raises(DataError, match=f"EXP_CACHE: {tmp_path} cannot be written: Permission denied"):
        Scratch(tmp_path).empty((2, 2), np.float64)


def test_other_folders_are_not_removed(tmp_path: Path):
    other = tmp_path / "cache/thesis/chapter.txt"
    other.parent.mkdir(parents=True)
    other.touch()
    find_or_write("content", "rows.csv", lambda to: (to / "x").touch())
    assert [entry.label for entry in cache.list_entries()] == ["rows.csv"]
    assert cache.clear() == "removed 1 dataset, 0 kB"
    assert [*(tmp_path / "cache").iterdir()] == [other.parent]


def test_a_dataset_is_removed_in_one_move(monkeypatch: pytest.MonkeyPatch):
    folder = find_or_write("content", "rows.csv", lambda to: (to / "x").touch())
    there: list[bool] = []
    monkeypatch.setattr(cache.shutil, "rmtree", lambda *_, **__: there.append(folder.exists()))
    cache.clear()
    assert there == [False]


def test_a_folder_that_another_process_ends_is_listed():
    find_or_write("content", "rows.csv", lambda to: (to / "gone").symlink_to("nothing"))
    assert [entry.label for entry in cache.list_entries()] == ["rows.csv"]


@pytest.mark.parametrize(("answer", "left"), [("", 1), ("n\n", 1), ("y\n", 0)])  # "": Ctrl-D
def test_the_cache_is_cleared_after_a_yes(answer: str, left: int, monkeypatch: pytest.MonkeyPatch):
    find_or_write("content", "rows.csv", lambda to: (to / "x").touch())
    monkeypatch.setattr("sys.stdin", Mock(wraps=io.StringIO(answer), isatty=lambda: True))
    exp.cache.cache("clear")
    assert len(cache.list_entries()) == left


def test_an_unknown_action_is_an_error(exp: Any):
    wrong = exp("cache", "empty")
    assert wrong.returncode == 1
    assert "unknown action 'empty' (available: list, clear)\n  try: python -m exp cache list\n" in wrong.stderr


@pytest.mark.parametrize(
    "other",
    [
        {"groups": np.arange(40) // 4},
        {"order": np.arange(40.0)[::-1]},
        {"row_numbers": np.arange(40) + 7},
        {"parts": np.arange(40, dtype=np.int8) % 3},
    ],
)
def test_equal_rows_of_a_function_that_are_divided_otherwise_are_another_dataset(other: dict[str, Any]):
    x = np.random.default_rng(0).normal(size=(40, 2))
    one = Dataset(x, x[:, :1], (NumberColumn("a"), NumberColumn("b")), None)
    choices = Choices((0.5, 0.25, 0.25), "none", 0)
    for dataset in (one, replace(one, **other)):
        splits = open_splits({"_target_": "mine.rows"}, choices, [], lambda _, dataset=dataset: dataset)
        assert_same(splits, prepare(dataset, **vars(choices)))


# Cells that pandas may read in another way in a part of a column than in all of it.
_NUMBERS = {
    "integer": ["-0", "0", "7", "+3", "9007199254740993", "-12345678901234567", "100000", "00"],
    "float": ["-0.0", "1e5", "0.1", "1e-7", "-.5", "3.", "0.30000000000000004", "123456789.123456789", "1e22"],
    "large": ["18446744073709551615", "9223372036854775808", "123456789012345678901234567890"],
    "boolean": ["True", "False"],
    "empty": ["", "NA", "nan"],
}


def make_cells(random: Random, rows: int) -> list[str]:
    """Return a column with mostly one kind of cells, and with others in some of its parts."""
    kinds = random.sample(["integer", "float", "large", "boolean", "empty"], random.choice((1, 1, 2, 2, 3)))
    others = [random.choice(_NUMBERS[random.choice(kinds)]) for _ in range(rows)]
    cells = [random.choice(_NUMBERS["integer" if kinds[0] == "empty" else kinds[0]]) for _ in range(rows)]
    return [other if random.random() < 0.2 else cell for other, cell in zip(others, cells, strict=True)]


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 300), marks=pytest.mark.slow)])
def test_numbers_have_the_same_bits_in_every_storage(seeds: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also -0 among integers with empty cells, which is 0, and among others, where it is -0.0; and large integers."""
    monkeypatch.setattr("exp.data.reading.text_parts._CELLS", 4 * 4)
    fingerprints = set[str]()
    for seed in seeds:
        random = Random(seed)
        columns = [make_cells(random, 30) for _ in range(3)]
        lines = [",".join((*cells, f"{number}.5")) for number, cells in enumerate(zip(*columns, strict=True))]
        Path("rows.csv").write_text("\n".join(["a,b,c,y", *lines]) + "\n")
        for target in ("y", "a"):
            in_memory, mapped = (load("rows.csv", target, scratch) for scratch in (None, Scratch(tmp_path)))
            if isinstance(in_memory, str) or isinstance(mapped, str):
                assert isinstance(in_memory, str) == isinstance(mapped, str), (in_memory, mapped)
                continue
            assert in_memory.columns == mapped.columns
            assert in_memory.x.tobytes() == np.ascontiguousarray(mapped.x).tobytes()
            assert in_memory.y.tobytes() == np.ascontiguousarray(mapped.y).tobytes()
            assert (in_memory.fingerprint, in_memory.classes) == (mapped.fingerprint, mapped.classes)
            fingerprints.add(mapped.fingerprint)
    assert len(fingerprints) > len(seeds) / 2
