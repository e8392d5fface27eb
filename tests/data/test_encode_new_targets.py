"""The target and the weights of new rows are read as those of the training rows were."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exp.data.encode import encode_new_targets, encode_rows
from exp.data.files import table
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import read_frame
from exp.data.target_scale import TargetScale
from exp.data.weight_column import encode_weights
from exp.errors import DataError
from exp.results.new_table import read_new_table

ROWS = 60


def fit(folder: Path, targets: list[str], **options: Any) -> tuple[Preprocessing, list[str]]:
    (folder / "x.csv").write_text("\n".join(("x;y", *(f"{row * 7 % 11};{y}" for row, y in enumerate(targets)))))
    dataset = table(str(folder / "x.csv"), "y", **options)
    return Preprocessing.fit(dataset, np.arange(len(dataset.x)), scaler="none")[0], list(dataset.notes)


def encode(folder: Path, preprocessing: Preprocessing, targets: list[str]) -> tuple[Any, Any, list[str]]:
    (folder / "new.csv").write_text("\n".join(("x;y", *(f"{row};{y}" for row, y in enumerate(targets)))))
    frame = read_frame(str(folder / "new.csv"), text=preprocessing.text_columns(None)).frame
    return encode_new_targets(frame, preprocessing, "new.csv")


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


@pytest.mark.parametrize("words", [("yes", "no"), ("True", "False"), ("1", "0"), ("1.0", "0.0")])
@pytest.mark.parametrize("gap", ["", " ", "?", "NA"])
def test_an_empty_target_of_a_boolean_is_skipped(words: tuple[str, str], gap: str, tmp_path: Path):
    preprocessing, _ = fit(tmp_path, [words[row % 2] for row in range(ROWS)])
    y, is_present, notes = encode(tmp_path, preprocessing, [*words, gap])
    assert y[:2].tolist() == [1, 0]
    assert is_present.tolist() == [True, True, False]
    assert notes == ["1 row without y: skipped"]


def test_a_mark_is_a_class_where_the_user_says_that_the_cells_are_classes(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, [("yes", "no", "?")[row % 3] for row in range(ROWS)], task="classes")
    assert preprocessing.classes == ("?", "no", "yes")
    y, is_present, _ = encode(tmp_path, preprocessing, ["yes", "?"])
    assert y.tolist() == [2, 0]
    assert is_present.all()


CONTINENTAL = [f"{7 + row % 3}.{500 + row},5" for row in range(ROWS)]


def test_targets_are_read_in_the_notation_of_the_training_rows(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, CONTINENTAL)
    again = Preprocessing.from_json(preprocessing.to_json())
    assert again == preprocessing
    y, is_present, notes = encode(tmp_path, again, ["7.514", "8.515", "", "9.516,25", "many"])
    assert y[is_present, 0].tolist() == [7514.0, 8515.0, 9516.25]
    assert is_present.tolist() == [True, True, False, True, False]
    assert notes[0].startswith("column 'y': 1 cell is not a number and ")
    assert notes[1] == "2 rows without y: skipped"


def test_targets_in_points_are_read_plainly_where_training_had_commas(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, CONTINENTAL)
    y, _, _ = encode(tmp_path, preprocessing, ["7514.5", "8515.25"])
    assert y[:, 0].tolist() == [7514.5, 8515.25]


def test_targets_with_another_unit_than_in_training_are_told(tmp_path: Path):
    """A spreadsheet stores 62 % as 0.62, and writes it as 62% into a text file."""
    percent, share = [f"{row + 0.5}%" for row in range(ROWS)], [f"{(row + 0.5) / 100:.3f}" for row in range(ROWS)]
    preprocessing, _ = fit(tmp_path, percent)
    y, _, notes = encode(tmp_path, preprocessing, share[:2])
    assert y[:, 0].tolist() == [0.005, 0.015]
    assert notes == ["column 'y': 2 cells without the % of the training rows: '0.005' is read as 0.005 %"]
    assert encode(tmp_path, preprocessing, percent)[2] == []
    preprocessing, _ = fit(tmp_path, share)
    y, _, notes = encode(tmp_path, preprocessing, percent[:2])
    assert y[:, 0].tolist() == [0.5, 1.5]
    assert notes == ["column 'y': numbers are written as 1234.5 %, in the training rows plainly"]


def test_targets_of_words_only_are_refused(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, CONTINENTAL)
    with pytest.raises(DataError, match="the target 'y' is not numeric"):
        encode(tmp_path, preprocessing, ["many", "few"])


def test_a_target_without_a_logarithm_is_refused_as_in_training(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, [f"{1 + row * 1.5}" for row in range(ROWS)])
    scale = TargetScale((1.0,), (2.0,), log=True)
    with pytest.raises(DataError, match=r"data=new\.csv: the target 'y' must be > 0 in every row, got -2"):
        encode(tmp_path, replace(preprocessing, target_scale=scale), ["1", "", "0", "-2"])
    y, _, _ = encode(tmp_path, replace(preprocessing, target_scale=replace(scale, log=False)), ["1", "", "0", "-2"])
    assert y[[0, 2, 3], 0].tolist() == [1, 0, -2]


def test_preprocessing_of_plain_numbers_is_stored_as_before(tmp_path: Path):
    preprocessing, _ = fit(tmp_path, [f"{row * 1.5}" for row in range(ROWS)])
    text = preprocessing.to_json()
    assert "_notation" not in text
    assert Preprocessing.from_json(text) == preprocessing


def test_weights_are_read_in_the_notation_of_the_training_rows(tmp_path: Path):
    rows = (f"{row * 7 % 11};{cell};{row % 13 / 8}" for row, cell in enumerate(CONTINENTAL))
    (tmp_path / "x.csv").write_text("\n".join(("x;w;y", *rows)))
    dataset = table(str(tmp_path / "x.csv"), "y", weight="w")
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(ROWS), scaler="none")
    (tmp_path / "new.csv").write_text("x;w;y\n1;1.234;2\n2;2.500;3\n")
    frame = read_frame(str(tmp_path / "new.csv"), text=preprocessing.text_columns("w")).frame
    weights, _ = encode_weights(frame, "w", preprocessing.weight_notation, "new.csv")
    assert weights is not None
    assert weights.tolist() == [1234.0, 2500.0]


def test_numbers_of_an_excel_file_are_not_spelled_as_the_training_rows_spell_theirs(tmp_path: Path):
    """1.234 in a cell of Excel is not 1234, which it is in the text file of the training rows."""
    rows = (f"{cell};{cell};{row % 3 % 2}" for row, cell in enumerate(CONTINENTAL))
    (tmp_path / "x.csv").write_text("\n".join(("w;x;y", *rows)))
    dataset = table(str(tmp_path / "x.csv"), "y", weight="w")
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(ROWS), scaler="none")
    for name, w, x in (("Old", 9.0, 9.0), ("New", 1.234, 1.234)):
        cells = {"x": [x, 2.5, "1.234,5", "?", 1.25e-05, 3000.0], "w": [w, 2, 3, 4, 5, 6]}
        mode = {"mode": "w"} if name == "Old" else {"mode": "a"}
        with pd.ExcelWriter(tmp_path / "new.xlsx", engine="openpyxl", **mode) as file:  # pyright: ignore[reportCallIssue, reportArgumentType]
            pd.DataFrame(cells).to_excel(file, sheet_name=name, index=False)
    for sheet, first in (("New", 1.234), ("Old", 9.0), ("Gone", 9.0)):
        found = read_new_table(str(tmp_path / "new.xlsx"), {"sheet": sheet, "weight": "w"}, preprocessing, True)
        read, _, _ = encode_rows(found.frame, preprocessing, "new.xlsx")
        np.testing.assert_array_equal(read[:, 0], [first, 2.5, 1234.5, np.nan, 1.25e-05, 3000.0])
        weights, _ = encode_weights(found.frame, "w", preprocessing.weight_notation, "new.xlsx")
        assert weights is not None
        assert weights.tolist() == [first, 2, 3, 4, 5, 6]
        assert (found.notes == ()) == (sheet != "Gone"), found.notes


@pytest.mark.slow
def test_evaluate_reads_targets_and_weights_in_the_notation_of_the_run(exp, tmp_path: Path):
    """The same rows, spelled with decimals and without, have the same metrics."""
    cells = [f"{7 + row % 3}.{500 + row},0" for row in range(ROWS)]
    lines = [f"{row * 7 % 11};{cell};{cell}" for row, cell in enumerate(cells)]
    (tmp_path / "x.csv").write_text("\n".join(("x;y;w", *lines)))
    (tmp_path / "new.csv").write_text("\n".join(("x;y;w", *(line.replace(",0", "") for line in lines))))
    arguments = ["dataset=table", f"dataset.path={tmp_path}/x.csv", "dataset.target=y", "dataset.weight=w", "epochs=1"]
    trained = exp(*arguments, f"hydra.run.dir={tmp_path}/run")
    assert trained.returncode == 0, trained.stderr
    same, whole = (
        exp("evaluate", f"run={tmp_path}/run", f"data={tmp_path}/{name}").stdout for name in ("x.csv", "new.csv")
    )
    assert "x.csv, 60 rows" in same
    assert whole.replace("new.csv", "x.csv") == same


def test_only_a_column_that_the_run_does_not_use_is_to_be_renamed(tmp_path: Path):
    """Not another feature, which would then be missing, nor one column to several names; and the message is short."""
    names = [f"f{number}" for number in range(300)]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 301)), columns=[*names, "f300y"])
    frame.to_csv(tmp_path / "x.csv", index=False)
    dataset = table(str(tmp_path / "x.csv"), "f300y")
    preprocessing = Preprocessing.fit(dataset, np.arange(40), scaler="none")[0]
    with pytest.raises(DataError) as error:
        encode_rows(frame[["f0", "f1"]].rename(columns={"f1": "F1"}), preprocessing, "new.csv")
    assert str(error.value) == (
        "data=new.csv: columns 'f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8', 'f9', 'f10' and 289 more are missing\n"
        "  try: rename column 'F1' to 'f1'"
    )
    with pytest.raises(DataError, match=r"'f300y' is missing\n  try: a table with this column"):
        encode_new_targets(frame[names], preprocessing, "new.csv")
