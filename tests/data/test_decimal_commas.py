"""A run with dataset.decimal="," reads the cells of new rows as it read those of the training rows."""

from pathlib import Path

import numpy as np
import pytest

from exp.data.encode import encode_new_targets, encode_rows
from exp.data.files import table
from exp.data.preprocessing import Preprocessing
from exp.data.weight_column import encode_weights
from exp.results.new_table import read_new_table

OPTIONS = {"decimal": ",", "separator": ";"}


def write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(("x;k;w;y", *lines)))
    return str(path)


@pytest.mark.parametrize(
    ("odd", "x"),
    [("?", np.nan), ("oops", np.nan), ("2.345,5", 2345.5), ("1.234", 1234.0), ("", np.nan), ("9,5", 9.5)],
)
def test_a_cell_does_not_change_how_the_others_are_read(tmp_path: Path, odd: str, x: float):
    lines = [f"{row % 11},25;{row * 3 % 17};{row % 4 + 1},5;{row * 7 % 97},5" for row in range(60)]
    dataset = table(write(tmp_path / "x.csv", lines), "y", weight="w", **OPTIONS)
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(60), scaler="none")
    preprocessing = Preprocessing.from_json(preprocessing.to_json())
    new = write(tmp_path / "new.csv", ["12,5;7;2,5;3,25", f"{odd};1.234;1.500;1.234"])
    frame = read_new_table(new, OPTIONS | {"weight": "w"}, preprocessing, keep_rows=True).frame
    rows, _, _ = encode_rows(frame, preprocessing, new)
    np.testing.assert_array_equal(rows, [[12.5, 7], [x, 1234]])
    assert encode_new_targets(frame, preprocessing, new)[0].tolist() == [[3.25], [1234.0]]
    weights, _ = encode_weights(frame, "w", preprocessing.weight_notation, new)
    assert weights is not None
    assert weights.tolist() == [2.5, 1500.0]


def test_quoted_cells_of_a_file_that_commas_separate_have_decimal_commas(tmp_path: Path):
    """As spreadsheets on the web export them. The note that 1,234 may be 1.234 names this option."""
    lines = [f'"1,{row * row % 90 + 100}",{row % 5}.5,{row % 2}' for row in range(60)]
    (tmp_path / "x.csv").write_text("\n".join(("x,k,y", *lines)))
    thousands = table(str(tmp_path / "x.csv"), "y")
    assert "column 'x': ',' may be the decimal mark instead; if it is: 'dataset.decimal=\",\"'" in thousands.notes
    dataset = table(str(tmp_path / "x.csv"), "y", decimal=",")
    expected = [[(row * row % 90 + 1100) / 1000, row % 5 + 0.5] for row in range(60)]
    np.testing.assert_array_equal(np.asarray(dataset.x[:60]), expected)


def test_labels_of_new_rows_may_be_words(tmp_path: Path):
    lines = [f"{row},5;{row * row % 13};{row % 3 % 2};{row % 5 % 2}" for row in range(60)]
    dataset = table(write(tmp_path / "x.csv", lines), ["w", "y"], **OPTIONS)
    preprocessing, _ = Preprocessing.fit(dataset, np.arange(60), scaler="none")
    new = write(tmp_path / "new.csv", ["12,5;7;yes;1", "3,5;7;no;0"])
    frame = read_new_table(new, OPTIONS, preprocessing, keep_rows=True).frame
    assert encode_new_targets(frame, preprocessing, new)[0].tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_rows_are_ordered_by_numbers_as_the_decimal_mark_has_them(tmp_path: Path):
    lines = [f"{row % 11},25;{row % 7};{row + 991:,};{row % 2}".replace(",", ".") for row in range(20)]
    dataset = table(write(tmp_path / "x.csv", lines), "y", order="w", **OPTIONS)
    assert dataset.order is not None
    assert dataset.order.tolist() == list(range(991, 1011))
