"""A split of the user's own: files, a column, an order, empty parts, a seed of its own; and rows in two parts."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exp.data.assign_rows import split_sizes
from exp.data.duplicates import count_repeated
from exp.data.files import table
from exp.data.input_files import check_input_files
from exp.data.prepare import prepare
from exp.data.splits import Splits
from exp.errors import DataError, ExpError


def people(rows: int = 100, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": random.normal(40, 9, rows).round(3),
            "town": random.choice(["Aa", "Bb"], rows),
            "when": [f"2024-01-{day:02}" for day in random.integers(1, 29, rows)],
            "ill": random.choice(["no", "yes"], rows),
        }
    )


def split_of(
    tmp_path: Path, frame: pd.DataFrame, split: Any = (0.6, 0.2, 0.2), seed: int = 0, **options: Any
) -> Splits:
    frame.to_csv(tmp_path / "people.csv", index=False)
    dataset = table(str(tmp_path / "people.csv"), "ill", kinds={"when": "category"}, **options)
    return prepare(dataset, split, scaler="none", seed=seed)


def ages(data: Splits, name: str) -> list[float]:
    return data.splits[name].x[:, 0].tolist()


def test_a_test_file_is_the_test_split_and_the_other_rows_keep_their_proportions(tmp_path: Path):
    people(40, seed=1).to_csv(tmp_path / "test.csv", index=False)
    data = split_of(tmp_path, people(), test_path=str(tmp_path / "test.csv"))
    assert [len(split) for split in data.splits.values()] == [75, 25, 40]
    assert ages(data, "test") == people(40, seed=1)["age"].astype(np.float32).tolist()
    assert list(data.test.row_numbers) == list(range(1, 41))
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))[:75]
    assert ages(data, "train") == people()["age"].to_numpy(np.float32)[order].tolist()


def test_rows_without_a_group_are_one_group_with_a_note(tmp_path: Path):
    frame = people().assign(doctor=[f"d{row % 29}" if row % 4 else None for row in range(100)])
    data = split_of(tmp_path, frame, group="doctor")
    assert "dataset.group=doctor is empty in 25 of 100 rows: these are one group" in data.notes
    without = {int(number) for number in np.arange(1, 101, 4)}
    assert sum(bool(without & set(split.row_numbers.tolist())) for split in data.splits.values()) == 1
    assert not any("one group" in note for note in split_of(tmp_path, frame.fillna("d"), group="doctor").notes)


def test_with_files_for_validation_and_test_the_table_is_for_training_in_its_order(tmp_path: Path):
    for name, seed in (("val", 1), ("test", 2)):
        people(30, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    paths = {f"{name}_path": str(tmp_path / f"{name}.csv") for name in ("val", "test")}
    data = split_of(tmp_path, people(), **paths)
    assert ages(data, "train") == people()["age"].astype(np.float32).tolist()
    assert [len(split) for split in data.splits.values()] == [100, 30, 30]


def test_a_group_in_the_training_rows_and_in_others_that_the_user_chose_is_told(tmp_path: Path):
    frame = people().assign(doctor=[f"d{row % 10}" for row in range(100)])
    test = people(30, 1).assign(doctor=[("d1", "new", None)[row % 3] for row in range(30)])
    test.to_csv(tmp_path / "test.csv", index=False)
    data = split_of(tmp_path, frame, (1, 0, 0), group="doctor", test_path=str(tmp_path / "test.csv"))
    assert data.notes[-1].startswith("10 of 30 test rows are of a dataset.group that training rows have too: the test")
    frame["part"] = ["train"] * 50 + ["val"] * 20 + ["test"] * 30
    notes = split_of(tmp_path, frame, group="doctor", split_column="part").notes[-2:]
    assert [note.partition(" rows are of a dataset.group")[0] for note in notes] == ["20 of 20 val", "30 of 30 test"]


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Training", "dev ", "TEST")])
def test_a_column_says_which_rows_are_for_what(words: tuple[str, ...], tmp_path: Path):
    parts = np.arange(100) % 3
    frame = people().assign(part=[words[part] for part in parts])
    data = split_of(tmp_path, frame, split_column="part")
    for part, name in enumerate(("train", "val", "test")):
        assert ages(data, name) == frame["age"][parts == part].astype(np.float32).tolist()
    assert not any(name.startswith("part") for name in data.features)


def test_a_column_of_train_and_test_leaves_a_part_of_the_training_rows_for_validation(tmp_path: Path):
    frame = people().assign(part=np.where(np.arange(100) < 80, "train", "test"))
    data = split_of(tmp_path, frame, split_column="part")
    assert [len(split) for split in data.splits.values()] == [60, 20, 20]
    assert ages(data, "test") == frame["age"][80:].astype(np.float32).tolist()


def test_rows_in_an_order_are_split_without_mixing_past_and_future(tmp_path: Path):
    frame = people()
    data = split_of(tmp_path, frame, order="when")
    by_time = frame.sort_values("when", kind="stable")["age"].astype(np.float32).tolist()
    assert [ages(data, name) for name in data.splits] == [by_time[:60], by_time[60:80], by_time[80:]]


def test_groups_in_an_order_are_divided_by_their_last_rows(tmp_path: Path):
    """Sessions follow each other, so the split is that by time; patients come back, one of them from first to last."""
    frame = people().assign(at=np.arange(100), session=np.arange(100) // 5, patient=np.arange(100) // 5)
    rows = frame.sample(frac=1, random_state=0)  # the order is that of the column, not of the file
    by_time = frame["age"].astype(np.float32).tolist()
    data = split_of(tmp_path, rows, order="at", group="session")
    assert [ages(data, name) for name in data.splits] == [by_time[:60], by_time[60:80], by_time[80:]]

    frame.loc[[0, 1, 99], "patient"] = 50  # the first rows and the last one
    data = split_of(tmp_path, frame, order="at", group="patient")
    times = {name: set(split.row_numbers - 1) for name, split in data.splits.items()}
    assert {0, 1, 99} < times["test"]
    assert max(times["train"]) < min(times["val"]) <= max(times["val"]) < min(times["test"] - {0, 1})


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ([0.8, 0.2, 0], ["train", "val"]),
        ([0.8, 0, 0.2], ["train", "test"]),
        ([1, 0, 0], ["train"]),
        ([70, 30, 0], ["train", "val"]),
    ],
)
def test_a_part_may_be_empty(split: list[float], names: list[str], tmp_path: Path):
    data = split_of(tmp_path, people(), split)
    assert list(data.splits) == names
    assert sum(len(rows) for rows in data.splits.values()) == 100
    assert data.held_out == names[-1]


@given(st.integers(5, 3000), st.sampled_from([[0.8, 0.2, 0.0], [0.7, 0.0, 0.3], [0.6, 0.2, 0.2], [1.0, 0.0, 0.0]]))
def test_the_sizes_of_fractions_add_up(n: int, split: list[float]):
    sizes = split_sizes(split, n)
    assert sum(sizes) == n
    assert [size > 0 for size in sizes] == [part > 0 for part in split]
    last = max(np.flatnonzero(split))
    assert sizes[:last] == [int(part * n) for part in split[:last]]


@pytest.mark.parametrize(
    ("split", "fix"), [([0.8, 0.2], r"dataset.split=\[0.8,0.2,0\]"), ([0, 0.5, 0.5], r"\[.6,.2,.2\]")]
)
def test_other_splits_are_refused_with_one_that_is_not(split: list[float], fix: str):
    with pytest.raises(ExpError, match=fix):
        split_sizes(split, 100)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"split_column": "town"}, "row 1 has '[AB].', not train, val or test"),
        ({"split_column": "twn"}, "has no column 'twn'"),
        ({"order": "height"}, "has no column 'height'"),
        ({"test_path": "nowhere.csv"}, "dataset.test_path=nowhere.csv: file not found"),
    ],
)
def test_what_is_no_split_is_refused(options: dict[str, Any], problem: str, tmp_path: Path):
    with pytest.raises(ExpError, match=problem):
        split_of(tmp_path, people(), **options)


def test_a_test_file_without_a_column_is_refused(tmp_path: Path):
    people().drop(columns="town").to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(ExpError, match=r"dataset.test_path: column 'town' of dataset.path is missing") as error:
        split_of(tmp_path, people().assign(x=1.5), test_path=str(tmp_path / "test.csv"), drop=["age"])
    assert str(error.value.fix).endswith("or 'dataset.drop=[age,town,x]'")
    data = split_of(tmp_path, people().assign(x=1.5), test_path=str(tmp_path / "test.csv"), drop=["age", "town", "x"])
    assert len(data.test) == 100
    people().drop(columns="ill").to_csv(tmp_path / "test.csv", index=False)  # such as that of a competition
    with pytest.raises(ExpError, match=r"dataset.test_path: the target 'ill' is missing in it") as error:
        split_of(tmp_path, people(), test_path=str(tmp_path / "test.csv"))
    assert "python -m exp predict run=FOLDER data=FILE out=predictions.csv" in str(error.value.fix)


def test_rows_that_are_in_training_too_are_counted(tmp_path: Path):
    frame = people()
    frame[:8].to_csv(tmp_path / "test.csv", index=False)
    data = split_of(tmp_path, frame, [1, 0, 0], test_path=str(tmp_path / "test.csv"))
    assert [note for note in data.notes if "equal a training row" in note] == [
        "8 of 8 test rows equal a training row, target included: the test metrics favor a model that memorizes"
    ]
    assert not [note for note in split_of(tmp_path, frame).notes if "equal" in note]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), min_size=4, max_size=30))
def test_repeated_rows_are_those_that_python_finds(rows: list[tuple[int, int, int]]):
    x = np.array([row[:2] for row in rows], dtype=np.float64)
    x[x == 2] = np.nan
    y, half = np.array([row[2] for row in rows]), len(rows) // 2
    expected = sum(row in rows[:half] for row in rows[half:])
    assert count_repeated(x, y, np.arange(half), np.arange(half, len(rows))) == expected


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("[1,0,0]", ["train"]),
        pytest.param("[.8,.2,0]", ["train", "val"], marks=pytest.mark.slow),
        pytest.param("[.8,0,.2]", ["train", "test"], marks=pytest.mark.slow),
    ],
)
def test_runs_without_validation_or_test_rows(exp, tmp_path: Path, split: str, names: list[str]):
    """They report, evaluate and export what there is."""
    people().drop(columns="when").to_csv(tmp_path / "people.csv", index=False)
    line = "dataset=table dataset.path=people.csv dataset.target=ill epochs=2"
    done = exp(*line.split(), f"dataset.split={split}", "hydra.run.dir=run")
    assert done.returncode == 0, done.stdout + done.stderr
    table_rows = [row.split()[0] for row in done.stdout.splitlines() if row.split()[0] in ("train", "val", "test")]
    assert table_rows == names
    assert (tmp_path / "run/report.html").exists()


def test_a_column_is_read_in_one_notation_from_all_files(tmp_path: Path):
    """The oracle is one file with the same rows: 1.500 is 1500 where another file has 2.100,5."""
    train = [f"{row % 7 + 1}.{row * 37 % 900 + 100},5;{'TRUE' if row % 3 else 'no'};{row % 5}.5" for row in range(40)]
    test = [f"{row % 4 + 1}.500;TRUE;{row % 3}.5" for row in range(10)]
    for name, rows in (("path", train), ("test", test), ("joined", [*train, *test])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["a;b;y", *rows]))
    options: dict[str, Any] = {"target": "y", "task": "regression"}
    data = table(str(tmp_path / "path.csv"), test_path=str(tmp_path / "test.csv"), **options)
    joined = table(str(tmp_path / "joined.csv"), **options)
    assert [(column.name, column.kind) for column in data.columns] == [("a", "number"), ("b", "category")]
    assert data.columns == joined.columns
    assert data.x.tolist() == joined.x.tolist()
    assert data.x[40:, 0].tolist() == [row % 4 * 1000 + 1500 for row in range(10)]
    swapped = table(str(tmp_path / "test.csv"), test_path=str(tmp_path / "path.csv"), **options)
    assert swapped.x[:10, 0].tolist() == data.x[40:, 0].tolist()


def test_how_the_order_is_read_is_said_also_if_its_column_is_no_feature(tmp_path: Path):
    frame = people().assign(when=[f"{row % 12 + 1}/{row % 11 + 1}/2024" for row in range(100)])
    note = "column 'when': '1/1/2024' is read as month/day/year; the other way: dataset.day_first=true"
    frame.to_csv(tmp_path / "x.csv", index=False)
    for options in ({}, {"drop": ["when"]}):
        assert table(str(tmp_path / "x.csv"), "ill", order="when", **options).notes.count(note) == 1


def test_messages_name_the_row_of_the_file(tmp_path: Path):
    def write(name: str, rows: int, **cells: str) -> str:
        lines = [f"{row},{row % 7}.5,{row % 5}.5" for row in range(rows)]
        lines[2] = ",".join(cells.get(name, cell) for name, cell in zip("dxy", lines[2].split(","), strict=True))
        (tmp_path / name).write_text("\n".join(["d,x,y", *lines]))
        return str(tmp_path / name)

    path = write("path.csv", 50)
    for cells, text in (({"x": "inf"}, "the first in row 3 of dataset.test_path: inf"), ({"x": "abc"}, "'abc'")):
        data = table(path, "y", test_path=write("test.csv", 20, **cells), kinds={"d": "number"})
        assert [note for note in data.notes if text in note and "in row 3 of dataset.test_path: " in note], data.notes
    assert data.row_numbers is not None
    assert data.row_numbers.tolist() == [*range(1, 51), *range(1, 21)]
    with pytest.raises(ExpError, match=r"dataset.order=d: row 3 of dataset.val_path is empty"):
        table(path, "y", order="d", val_path=write("val.csv", 20, d=""))
    for mark in ("?", "0000-00-00"):  # they would all be later than the others: test rows
        dates = people().assign(when=[mark if row == 4 else f"2024-01-{row % 28 + 1:02}" for row in range(100)])
        with pytest.raises(ExpError, match=rf"dataset.order=when: row 5 has '{re.escape(mark)}', which is no value"):
            split_of(tmp_path, dates, order="when")
    with pytest.raises(ExpError, match=r"\(x is inf in row 3 of dataset.path\)"):
        table(write("inf.csv", 50, x="inf"), "y", test_path=write("test.csv", 20), missing="error")
    with pytest.raises(ExpError, match=r"\(x is inf in row 3\)"):
        table(str(tmp_path / "inf.csv"), "y", missing="error")


def test_the_errors_on_a_wide_table_are_short(tmp_path: Path):
    names = [f"f{number}" for number in range(300)]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 300)), columns=names).assign(target=1.5)
    frame.to_csv(tmp_path / "wide.csv", index=False)
    frame[["f0", "target"]].to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(
        DataError, match=r"column 'f1' of dataset.path is missing in it\n  try: a file with the same columns$"
    ):
        table(str(tmp_path / "wide.csv"), "target", test_path=str(tmp_path / "test.csv"))
    node = {"_target_": "exp.data.files.table", "path": str(tmp_path / "wide.csv"), "target": "Target"}
    with pytest.raises(DataError, match=r"\(available: f0, .*, f19, …\)\n  try: dataset.target=target$"):
        check_input_files(node)
