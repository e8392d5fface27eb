"""Arrays that would lose their meaning as numbers are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exp.data.dataset import as_dataset
from exp.data.files import arrays
from exp.errors import DataError

X, Y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
DATES = np.array(["2024-01-01", "NaT"] * 15, dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.stack([DATES, DATES], axis=1), Y, "x holds dates"),
        (X, DATES, "y holds dates"),
        ((DATES - DATES[0]).reshape(30, 1), Y, "x holds time spans"),
        (X + 1j, Y, "x holds complex numbers"),
        ((X, X[:, :1]), Y, "x must be one array"),
        ({"a": X}, Y, "x must be one array: it is a mapping"),
        ([[None, {}]] * 30, Y, "the features must be numbers"),
        (X[:, :0], Y, r"x has no features, its shape is \[30, 0\]"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_number_is_refused(x: Any, y: np.ndarray, message: str):
    with pytest.raises(DataError, match=message):
        as_dataset((x, y))


def test_a_single_array_is_refused(tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(DataError, match="it holds one array"):
        arrays(str(tmp_path / "x.npy"))


def test_many_whole_numbers_are_noted_as_classes():
    (note,) = as_dataset((X, np.arange(30))).notes
    assert note.startswith("y has 30 different integers in 30 rows, which are classes")
    assert as_dataset((X, Y)).notes == ()
