"""Arrays that would lose their meaning as numbers are refused."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from exp.data.dataset import as_dataset
from exp.data.files import arrays
from exp.data.mapped.scratch import Scratch
from exp.data.preprocessing import Preprocessing
from exp.data.scalers.registry import SCALERS
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


def objects(*values: object) -> np.ndarray:
    """30 rows of these values, as a column of a DataFrame may hold them."""
    y = np.empty(30, dtype=object)
    y[:] = values * (30 // len(values))
    return y


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("values", [("a", "b"), (0, 1), (1.5, 2.5), (True, False)])
def test_a_target_that_is_missing_among_objects_is_no_class(gap: object, values: tuple[object, ...]):
    """Each NaN became a class of its own."""
    with pytest.raises(DataError, match=r"^dataset: 10 of 30 rows have no target, the first is row 2\n  try: remove"):
        as_dataset((X, objects(values[0], gap, values[1])))


@pytest.mark.parametrize("values", [("a", "b", "c"), (0, 1, 2), (1.5, 2.5, 3.5), (True, False, True)])
def test_objects_are_targets_of_their_own_type(values: tuple[object, ...]):
    """Floats were classes."""
    found, expected = as_dataset((X, objects(*values))), as_dataset((X, np.array(values * 10)))
    assert found.classes == expected.classes
    assert np.array_equal(found.y, expected.y)
    assert found.y.dtype == expected.y.dtype


@pytest.mark.parametrize("targets", [["a", None], ["a", "b"]])
def test_a_torch_dataset_of_words_has_no_class_none(targets: list[object]):
    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 30

        def __getitem__(self, row: int) -> tuple[np.ndarray, object]:
            return X[row], targets[row % 2]

    if None in targets:
        with pytest.raises(DataError):
            as_dataset(Rows())
    else:
        assert as_dataset(Rows()).classes == ("a", "b")


def test_a_single_array_is_refused(tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(DataError, match="it holds one array"):
        arrays(str(tmp_path / "x.npy"))


def test_many_whole_numbers_are_noted_as_classes():
    (note,) = as_dataset((X, np.arange(30))).notes
    assert note.startswith("y has 30 different integers in 30 rows, which are classes")
    assert as_dataset((X, Y)).notes == ()


@pytest.mark.parametrize("kind", ["standard", "robust", "quantile"])
@pytest.mark.parametrize("shape", [(7, 2), (2, 3, 4)])
def test_sequences_and_images_are_scaled_by_channel(shape: tuple[int, ...], kind: str):
    x = np.random.default_rng(0).normal(size=(50, *shape)) * 3 + 1
    dataset = as_dataset((x, np.arange(50) % 2))
    assert dataset.shape == shape
    preprocessing, values = Preprocessing.fit(dataset, np.arange(30), kind)
    by_channel = np.moveaxis(x, 1, -1) if len(shape) == 3 else x
    flat = by_channel.reshape(-1, 2)
    reference = SCALERS[kind].fit(by_channel[:30].reshape(-1, 2))
    expected = reference.transform(flat).reshape(by_channel.shape)
    expected = (np.moveaxis(expected, -1, 1) if len(shape) == 3 else expected).reshape(50, -1)
    got = preprocessing.transform(values)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(preprocessing.restore(got)[:30], values[:30], atol=1e-4)
    again = Preprocessing.from_json(preprocessing.to_json())
    assert again.shape == shape
    np.testing.assert_array_equal(again.transform(values), got)


def test_the_shape_is_in_the_fingerprint():
    x, y = np.arange(48.0).reshape(4, 12), np.arange(4) % 2
    shaped = [as_dataset((x.reshape(4, *shape), y)).fingerprint for shape in ((12,), (3, 4), (4, 3), (1, 3, 4))]
    assert len(set(shaped)) == 4


def test_x_and_y_in_files_of_their_own(tmp_path: Path):
    np.save(tmp_path / "x.npy", X.reshape(30, 2, 1))
    np.save(tmp_path / "y.npy", Y)
    dataset = arrays(str(tmp_path / "x.npy"), y_path=str(tmp_path / "y.npy"))
    np.testing.assert_array_equal(dataset.x, X)
    np.testing.assert_array_equal(dataset.y, Y)
    assert dataset.shape == (2, 1)
    with pytest.raises(DataError, match=r"dataset\.y_path=.*: file not found"):
        arrays(str(tmp_path / "x.npy"), y_path=str(tmp_path / "z.npy"))


@pytest.mark.parametrize("storage", ["memory", "mapped"])
def test_a_file_that_is_no_array_in_an_archive_is_an_error(storage: str, tmp_path: Path):
    np.savez(tmp_path / "rows.npz", x=np.ones((4, 2)), y=np.arange(4.0))
    with zipfile.ZipFile(tmp_path / "rows.npz", "a") as archive:
        archive.writestr("notes.txt", "of these rows")
    scratch = Scratch(tmp_path) if storage == "mapped" else None
    with pytest.raises(DataError, match=r"rows.npz: cannot read arrays of numbers: notes.txt is not an array"):
        arrays(f"{tmp_path}/rows.npz", scratch=scratch)


@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize(
    ("name", "size", "problem"),
    [
        ("x.npy", 700, "x.npy: the file is cut short: it has 700 of 960 bytes"),  # a header of 128, and 26 x 4 float64
        ("x.npy", 60, "x.npy: the file is cut short after 60 bytes"),
        ("x.npy", 0, "x.npy: the file is empty"),
        ("y.npy", 140, "dataset.y_path=y.npy: the file is cut short: it has 140 of 336 bytes"),
        ("rows.npz", 900, "rows.npz: the file is cut short after 900 bytes: the list of its arrays is missing"),
        ("rows.npz", None, "rows.npz: the file is damaged: Bad CRC-32 for file 'x.npy'"),
        ("small.npz", None, "small.npz: the file is damaged: "),
    ],
)
def test_a_file_that_is_not_whole_is_an_error(
    name: str, size: int | None, problem: str, is_mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).random((26, 4)), np.arange(26) % 2
    np.save("x.npy", x)
    np.save("y.npy", y)
    np.savez("rows.npz", x=x, y=y)
    np.savez_compressed("small.npz", x=x, y=y)
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[:200] + b"\xff" * 40 + content[240:] if size is None else content[:size])
    files = {"path": name} if name.endswith(".npz") else {"path": "x.npy", "y_path": "y.npy"}
    with pytest.raises(DataError, match=re.escape(problem)):
        arrays(**files, scratch=Scratch(tmp_path) if is_mapped else None)


def test_names_that_do_not_fit_are_told_and_those_in_bytes_are_words(tmp_path: Path):
    names = {"feature_names": ["a", "b", "c"], "target_names": ["low", "mid", "high"]}
    np.savez(tmp_path / "x.npz", x=X, y=np.where(Y, "yes", "no").astype("S"), **names)
    dataset = arrays(str(tmp_path / "x.npz"))
    assert dataset.classes == ("no", "yes")
    assert dataset.notes == (
        "feature_names has 3 names, not 2: they are not used",
        "target_names has 3 names, not 2: they are not used",
    )
    np.savez(tmp_path / "x.npz", x=X, y=Y * 1.5, feature_names=["a"], w=np.where(Y, 1, np.nan))
    assert arrays(str(tmp_path / "x.npz")).notes == ("feature_names has 1 name, not 2: they are not used",)
    with pytest.raises(DataError, match="row 1 has no number") as error:
        arrays(str(tmp_path / "x.npz"), weight="w")
    assert error.value.fix == "a number >= 0 in every row"
