from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config_of
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris, load_linnerud

from exp.data import synthetic
from exp.data.assign_rows import split_sizes
from exp.data.dataset import as_dataset
from exp.data.prepare import prepare
from exp.errors import ConfigError, DataError
from exp.training.build import build


def test_fractions_are_rounded_as_in_the_notebook():
    assert split_sizes([0.6, 0.2, 0.2], 569) == [341, 113, 115]


@given(st.integers(10, 10_000))
def test_sizes_add_up(n: int):
    assert sum(split_sizes([0.6, 0.2, 0.2], n)) == n


@pytest.mark.parametrize(
    "split", [[0.5, 0.2], [0.5, 0.2, 0.2], [0.0, 0.5, 0.5], [90, 5, 6], [0, 50, 50], [-0.2, 0.6, 0.6]]
)
def test_a_split_that_does_not_add_up_is_refused(split):
    with pytest.raises(ConfigError, match=r"dataset.split must be three fractions"):
        split_sizes(split, 100)


def test_splits_do_not_overlap_and_cover_the_dataset():
    dataset = as_dataset((np.arange(50.0).reshape(50, 1), np.arange(50)))
    data = prepare(dataset, [0.6, 0.2, 0.2], scaler="none", seed=3)
    rows = torch.cat([data.train.x, data.val.x, data.test.x]).flatten()
    assert sorted(rows.tolist()) == list(range(50))


def test_the_scaler_is_fitted_on_the_training_rows_only():
    rng = np.random.default_rng(0)
    dataset = as_dataset((rng.normal(5, 3, (100, 2)), rng.integers(0, 2, 100)))
    data = prepare(dataset, [0.6, 0.2, 0.2], scaler="standard", seed=0)
    assert torch.allclose(data.train.x.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(data.train.x.std(0, correction=0), torch.ones(2), atol=1e-6)
    assert not torch.allclose(data.test.x.mean(0), torch.zeros(2), atol=1e-3)


def test_without_a_split_all_splits_hold_all_rows():
    data = prepare(as_dataset(synthetic.xor()), None, scaler="none", seed=0)
    assert data.train is data.val is data.test
    assert len(data.train) == 4


def test_a_bunch_provides_names():
    dataset = as_dataset(load_iris())
    assert dataset.classes == ("setosa", "versicolor", "virginica")
    assert dataset.columns[0].name == "sepal length (cm)"


def test_text_labels_are_classes_in_sorted_order():
    dataset = as_dataset((np.zeros((3, 1)), np.array(["b", "a", "b"])))
    assert dataset.classes == ("a", "b")
    assert dataset.y.tolist() == [1, 0, 1]


def test_several_target_columns_are_one_regression():
    dataset = as_dataset(load_linnerud())
    assert dataset.classes is None
    assert dataset.y.shape == (20, 3)


def test_datasets_have_equal_fingerprints_only_if_they_are_equal():
    assert as_dataset(synthetic.noisy_xor()).fingerprint == as_dataset(synthetic.noisy_xor()).fingerprint
    assert as_dataset(synthetic.noisy_xor()).fingerprint != as_dataset(synthetic.noisy_xor(random_state=1)).fingerprint


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (np.zeros((3, 2)), r"must return a pair \(x, y\) or a Bunch, got ndarray"),
        (
            (np.zeros((3, 2)), np.zeros(4)),
            r"x must have shape \[N, F\], .* and y shape \[N\] with N >= 1, got \[3, 2\] and \[4\]",
        ),
        ((np.zeros((0, 2)), np.zeros(0)), r"got \[0, 2\] and \[0\]"),
        ((np.zeros(3), np.zeros(3)), r"got \[3\] and \[3\]\n  try: x\.reshape\(-1, 1\), for one feature"),
        ((np.zeros((3, 2)), np.zeros(())), r"got \[3, 2\] and \[\]"),
        (
            (np.array([[1.0], [np.nan], [np.inf]]), np.zeros(3)),
            "2 of 3 rows have NaN or infinite features, the first is row 2",
        ),
        (
            (np.array([[1.0], [-2e300]]), np.zeros(2)),
            r"1 of 2 rows have features beyond 3\.4e\+38, .* in row 2: -2e\+300(.|\n)*a larger unit, such as x / 1e300",
        ),
        (
            (np.zeros((2, 1)), np.array([0.0, 3e150])),
            r"target has values beyond 1e\+100, the first in row 2: 3e\+150(.|\n)*larger unit, such as y / 1e150",
        ),
        ((np.zeros((2, 1)), np.array([0.0, np.nan])), "the target has NaN"),
        ((np.zeros((2, 1)), np.full((2, 2), "a")), r"class labels must have shape \[N\], got \[2, 2\]"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(source, problem: str):
    with pytest.raises(DataError, match=problem):
        as_dataset(source)


def test_distance():
    x, y = synthetic.distance()
    assert x.shape == (40_401, 2)
    assert np.abs(y - 2 * np.hypot(*x.T)).max() <= 0.005


def test_signal_background():
    x, y = synthetic.signal_background()
    assert np.bincount(y).tolist() == [1000, 100]
    assert np.abs(x[y == 0]).max() < 5
    assert np.allclose(x[y == 1].mean(axis=0), [1, 0], atol=0.3)


def test_a_class_without_training_rows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{row % 7},{'AB'[row % 2]}" for row in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["x,y", *rows]))
    (tmp_path / "test.csv").write_text("x,y\n1,A\n2,C\n3,C\n")
    words = "dataset=table dataset.path=train.csv dataset.test_path=test.csv dataset.target=y"
    notes = build(config_of(*words.split())).data.notes
    assert "no training row has the class 'C' (0 val, 2 test rows): the model cannot predict it" in notes
