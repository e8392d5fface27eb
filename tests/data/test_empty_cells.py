"""Cells that are empty only to the parser of their column: dataset.missing holds for them as for any empty cell."""

from pathlib import Path

import numpy as np
import pytest

from exp.data.dataset import Dataset
from exp.data.files import table
from exp.data.prepare import prepare
from exp.errors import DataError

ROWS = 60

# A column of 60 cells, of which the sixth holds no value.
COLUMNS = {
    "mark": [f"{1000 + 37.5 * row:,.1f}" if row != 5 else "?" for row in range(ROWS)],
    "word": [f"{row * 1.5}" if row != 5 else "abc" for row in range(ROWS)],
    "infinite": [f"{row * 1.5}" if row != 5 else "inf" for row in range(ROWS)],
    "infinite text": [f"{1000 + 37.5 * row:,.1f}" if row != 5 else "inf" for row in range(ROWS)],
    "boolean": [("yes", "no")[row % 2] if row != 5 else "?" for row in range(ROWS)],
    "date": [f"{1 + row % 28:02}.{1 + row % 12:02}.2024" if row != 5 else "?" for row in range(ROWS)],
}


def read(folder: Path, column: str, missing: object) -> Dataset:
    lines = [f"{cell};{(row * 7 % 60) / 8}" for row, cell in enumerate(COLUMNS[column])]
    (folder / "x.csv").write_text("\n".join(("a;y", *lines)))
    return table(str(folder / "x.csv"), "y", missing=missing)


@pytest.mark.parametrize("missing", ["drop", {"a": "drop"}])
@pytest.mark.parametrize("column", COLUMNS)
def test_rows_of_cells_that_hold_no_value_are_dropped(column: str, missing: object, tmp_path: Path):
    dataset = read(tmp_path, column, missing)
    assert len(dataset.x) == ROWS - 1
    assert np.isfinite(dataset.x).all()
    assert list(dataset.row_numbers) == [row for row in range(1, ROWS + 1) if row != 6]
    assert "left out 1 of 60 rows with empty cells: a (1)" in dataset.notes
    assert [note for note in dataset.notes if note.startswith("column 'a': ") and COLUMNS[column][5] in note]
    assert len(dataset.notes) == len(set(dataset.notes))


@pytest.mark.parametrize("column", COLUMNS)
def test_cells_that_hold_no_value_are_refused(column: str, tmp_path: Path):
    with pytest.raises(DataError, match=r"the table has empty cells: a \(1\) in 60 rows") as refused:
        read(tmp_path, column, "error")
    cell = "inf" if column == "infinite" else repr(COLUMNS[column][5])  # pandas reads this column as numbers
    assert refused.value.problem.endswith(f" (a is {cell} in row 6)")


@pytest.mark.parametrize("column", COLUMNS)
def test_other_policies_keep_the_rows(column: str, tmp_path: Path):
    dataset = read(tmp_path, column, "auto")
    assert np.flatnonzero(np.isnan(dataset.x[:, 0])).tolist() == [5]


def test_a_notation_that_only_a_dropped_row_shows_holds_for_the_other_rows(tmp_path: Path):
    cells = ["1.234,5", "?", *(f"{1 + row % 9}.{100 + row}" for row in range(ROWS - 2))]
    lines = [f"{cell};{'?' if not row else row * 7 % 60},5;{row * 3 % 11},25" for row, cell in enumerate(cells)]
    (tmp_path / "x.csv").write_text("\n".join(("a;b;y", *lines)))
    dataset = table(str(tmp_path / "x.csv"), "y", missing="drop")
    assert len(dataset.x) == ROWS - 2
    assert dataset.x[0, 0] == 1100


def test_an_infinite_number_in_a_column_with_a_mark_is_missing(tmp_path: Path):
    lines = [f"{('1.5', 'inf', '?', '2.5')[row % 4]},{row * 7 % 11 / 8}" for row in range(ROWS)]
    (tmp_path / "x.csv").write_text("\n".join(("a,y", *lines)))
    dataset = table(str(tmp_path / "x.csv"), "y")
    assert np.isnan(dataset.x[:, 0]).tolist() == [False, True, True, False] * (ROWS // 4)
    assert np.isfinite(prepare(dataset, [0.6, 0.2, 0.2], scaler="standard", seed=0).train.x.numpy()).all()


def test_a_row_with_a_mark_for_its_weight_is_dropped(tmp_path: Path):
    lines = [f"{row * 1.5};{'?' if row == 5 else '1,234.5'};{row * 7 % 11 / 8}" for row in range(ROWS)]
    (tmp_path / "x.csv").write_text("\n".join(("a;w;y", *lines)))
    dataset = table(str(tmp_path / "x.csv"), "y", weight="w", missing={"w": "drop"})
    assert dataset.weights is not None
    assert dataset.weights.tolist() == [1234.5] * (ROWS - 1)
