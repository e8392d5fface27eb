"""The spelling of categories and classes that look like numbers: versions, codes with zeros in front."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exp.data.encode import encode_new_targets, encode_rows
from exp.data.files import table
from exp.data.from_frame import TableOptions, dataset_from_frame
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import read_frame

ROWS = 60


def write(folder: Path, words: list[str]) -> str:
    lines = [f"{words[row % len(words)]},{row * 7 % 11},{row * 5 % 13 / 8}" for row in range(ROWS)]
    (folder / "x.csv").write_text("\n".join(("a,b,y", *lines)))
    return str(folder / "x.csv")


def fit(folder: Path, words: list[str]) -> Preprocessing:
    dataset = table(write(folder, words), "y", kinds={"a": "category"})
    return Preprocessing.fit(dataset, np.arange(len(dataset.x)), scaler="none")[0]


@pytest.mark.parametrize("words", [["1.1", "1.10", "1.2", "rc"], ["01", "02", "1"], ["+1", "1", "x"], ["2.50", "2.5"]])
def test_categories_keep_their_spelling(words: list[str], tmp_path: Path):
    preprocessing = fit(tmp_path, words)
    assert preprocessing.features == (*(f"a={word}" for word in sorted(words)), "b")
    again = Preprocessing.from_json(preprocessing.to_json())
    assert again == preprocessing
    frame = read_frame(str(tmp_path / "x.csv"), text=again.text_columns(None)).frame
    rows, _, notes = encode_rows(frame, again, "x.csv")
    assert rows[: len(words), 0].tolist() == [sorted(words).index(word) for word in words]
    assert notes == []


def test_a_spelling_that_the_training_rows_do_not_have_is_another_category(tmp_path: Path):
    preprocessing = fit(tmp_path, ["01", "02", "1"])
    rows, _, notes = encode_rows(pd.DataFrame({"a": ["2", "02"], "b": [1, 2]}), preprocessing, "new.csv")
    assert rows[:, 0].tolist() == [-1, 1]
    assert notes == ["categories that are not in the training rows, encoded as zeros: a in 1 row"]


def test_numbers_without_a_spelling_are_the_category_of_this_value(tmp_path: Path):
    preprocessing = fit(tmp_path, ["01", "02", "x"])
    rows, _, notes = encode_rows(pd.DataFrame({"a": [2, 1, 1], "b": [1, 2, 3]}), preprocessing, "new.csv")
    assert rows[:, 0].tolist() == [1, 0, 0]
    assert notes == []


def test_classes_keep_their_spelling():
    frame = pd.DataFrame(
        {"x": np.arange(ROWS) * 7 % 11, "y": [("1.1", "1.10", "1.20", "rc")[row % 4] for row in range(ROWS)]}
    )
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("y", task="classes"))
    assert dataset.classes == ("1.1", "1.10", "1.20", "rc")
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(ROWS), scaler="none")
    y, _, _ = encode_new_targets(frame[:4], preprocessing, "x.csv")
    assert y.tolist() == [0, 1, 2, 3]
    frame = pd.DataFrame({"y": [1.2, 1.1]})  # pandas lost the spelling
    numbers, _, _ = encode_new_targets(frame, preprocessing, "x.csv")
    assert numbers.tolist() == [2, 0]


def test_runs_that_stored_categories_as_numbers_read_every_spelling(tmp_path: Path):
    preprocessing = fit(tmp_path, ["1.1", "12", "rc"])
    assert "is_spelled" not in preprocessing.to_json()
    rows, _, notes = encode_rows(pd.DataFrame({"a": ["1.10", "012", "+12"], "b": [1, 2, 3]}), preprocessing, "new.csv")
    assert rows[:, 0].tolist() == [0, 1, 1]
    assert notes == []
