"""Notes on splits that do not keep the past from the future."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from exp.data.files import table
from exp.data.folds import Fold
from exp.data.prepare import prepare

ROWS, PARTS = 60, ("val", "test")
FRAME = pd.DataFrame(
    {
        "x": [row * 7 % 31 for row in range(ROWS)],
        "day": range(ROWS),
        "person": [f"p{row % 6}" for row in range(ROWS)],
        "part": ["test"] * 10 + ["train"] * 50,
        "y": [row % 3 % 2 for row in range(ROWS)],
    }
)


@pytest.mark.parametrize(
    ("options", "fold", "told"),
    [
        ({}, None, []),
        ({}, Fold(1, 3), []),
        # Persons 0 to 3 are for training, 4 for validation and 5 for the test, whose first days are 4 and 5.
        ({"group": "person"}, None, [f"36 of 40 training rows are later than the first {part}" for part in PARTS]),
        ({"split_column": "part"}, None, ["37 of 37 training rows are later than the first test row"]),
    ],
)
def test_training_rows_later_than_others_are_told(
    options: dict[str, Any], fold: Fold | None, told: list[str], tmp_path: Path
):
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    dataset = table(str(tmp_path / "x.csv"), "y", order="day", kinds={"day": "number"}, **options)
    splits = prepare(dataset, (0.6, 0.2, 0.2), "none", 0, fold=fold)
    notes = [note for note in splits.notes if "in dataset.order" in note]
    assert len(notes) == len(told)
    assert all(note.startswith(start) for note, start in zip(notes, told, strict=True)), notes
