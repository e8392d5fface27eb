"""The notes on a wide table fit on a screen: what holds for many columns is one note."""

from pathlib import Path

import numpy as np

from exp.data.encode import encode_rows
from exp.data.files import table
from exp.data.merge_notes import merge_notes
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import read_frame

NAMES = [f"s{place}" for place in range(30)]


def write(path: Path, decimal: str, columns: int) -> str:
    """Rows of numbers with an empty cell for every column, and one more in the last column."""
    numbers = np.random.default_rng(0).normal(size=(60, columns)).round(3)
    cells = [[f"{number}".replace(".", decimal) for number in row] for row in numbers]
    for place in range(columns):
        cells[place][place] = ""
    cells[50][-1] = ""
    lines = [";".join([*row, f"{place % 2}"]) for place, row in enumerate(cells)]
    path.write_text("\n".join([";".join([*NAMES[:columns], "y"]), *lines]))
    return str(path)


def test_many_columns_with_the_same_note_have_one(tmp_path: Path):
    dataset = table(write(tmp_path / "x.csv", ",", 30), "y")
    merged = merge_notes(dataset.notes)
    (written,) = [note for note in merged if "numbers are written as" in note]
    assert written.startswith("column 's0': numbers are written as 1234,5: ")
    assert written.endswith("; likewise in 29 other columns")
    (empty,) = [note for note in merged if note.startswith("empty cells: ")]
    assert empty.startswith("empty cells: s29 (2), s0 (1), s1 (1), ")
    assert empty.endswith("s18 (1), and 10 other columns (10); to leave out their rows: dataset.missing=drop")
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(60), scaler="none")
    new = write(tmp_path / "new.csv", ".", 30)
    frame = read_frame(new, text=preprocessing.text_columns(None)).frame
    plainly, without = encode_rows(frame, preprocessing, new)[2]
    assert plainly.startswith("column 's0': 59 cells not written as in the training rows (1234,5), read plainly: ")
    assert plainly.endswith("; likewise in 29 other columns")
    assert without.startswith("1 row without s0: replaced by ")
    assert without.endswith("; likewise in 29 other columns")


def test_few_columns_keep_their_notes_and_other_notes_stay_apart(tmp_path: Path):
    notes = table(write(tmp_path / "x.csv", ",", 10), "y").notes
    assert len(notes) > 10
    assert merge_notes(notes) == list(notes)
    marks = [
        f"column 'a{place}': numbers are written as {'1234,5' if place % 2 else '1,234.5'}: '1' is 1"
        for place in range(20)
    ]
    assert merge_notes(marks) == marks
