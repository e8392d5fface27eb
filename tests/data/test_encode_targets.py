"""The target and the weights of new rows are read as those of the training rows were."""

from pathlib import Path
from typing import Any

import numpy as np

from exp.data.encode import encode_targets
from exp.data.files import table
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import read_frame

ROWS = 60


def fit(folder: Path, targets: list[str], **options: Any) -> tuple[Preprocessing, list[str]]:
    (folder / "x.csv").write_text("\n".join(("x;y", *(f"{row * 7 % 11};{y}" for row, y in enumerate(targets)))))
    dataset = table(str(folder / "x.csv"), "y", **options)
    return Preprocessing.fit(dataset, np.arange(len(dataset.x)), standardize=False)[0], list(dataset.notes)


def encode(folder: Path, preprocessing: Preprocessing, targets: list[str]) -> tuple[Any, Any, list[str]]:
    (folder / "new.csv").write_text("\n".join(("x;y", *(f"{row};{y}" for row, y in enumerate(targets)))))
    frame = read_frame(str(folder / "new.csv")).frame
    return encode_targets(frame, preprocessing, "new.csv")


def test_a_mark_in_a_target_of_yes_and_no_is_an_empty_cell(tmp_path: Path):
    targets = [("yes", "no", "?")[row % 3] for row in range(ROWS)]
    preprocessing, notes = fit(tmp_path, targets)
    assert preprocessing.classes == ("no", "yes")
    assert "column 'y': read as empty cells: '?' (20)" in notes
    assert "left out 20 of 60 rows: y is empty" in notes
    y, is_present, notes = encode(tmp_path, preprocessing, targets[:3])
    assert y[:2].tolist() == [1, 0]
    assert is_present.tolist() == [True, True, False]
    assert notes == ["1 row without y: skipped"]


def test_a_mark_is_a_class_where_the_user_says_that_the_cells_are_classes(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, [("yes", "no", "?")[row % 3] for row in range(ROWS)], task="classes")
    assert preprocessing.classes == ("?", "no", "yes")
    y, is_present, _ = encode(tmp_path, preprocessing, ["yes", "?"])
    assert y.tolist() == [2, 0]
    assert is_present.all()
