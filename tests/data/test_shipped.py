"""The shipped datasets and make_moons are those of scikit-learn, to the bit."""

from typing import Any

import numpy as np
import pytest
import sklearn.datasets as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from exp.data.dataset import as_dataset
from exp.data.shipped import load_shipped

NAMES = ("load_breast_cancer", "load_diabetes", "load_digits", "load_iris", "load_wine")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_dataset_is_scikit_learns(name: str):
    shipped = load_shipped(f"sklearn.datasets.{name}")
    assert shipped is not None
    ours, theirs = as_dataset(shipped), as_dataset(getattr(reference, name)())
    assert ours.fingerprint == theirs.fingerprint
    assert ours.x.strides == theirs.x.strides  # the order of sums over rows depends on them
    assert (ours.y.dtype, ours.columns, ours.classes, ours.notes) == (
        theirs.y.dtype,
        theirs.columns,
        theirs.classes,
        theirs.notes,
    )


@given(st.integers(1, 400), st.one_of(st.none(), st.integers(0, 2), st.floats(0, 10)), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_moons_are_scikit_learns(n_samples: int, noise: float | None, random_state: int):
    arguments = {"n_samples": n_samples, "noise": noise, "random_state": random_state}
    shipped = load_shipped("sklearn.datasets.make_moons", **arguments)
    assert shipped is not None
    x, y = reference.make_moons(**arguments)
    assert (shipped.data.tobytes(), shipped.data.strides) == (x.tobytes(), x.strides)
    assert (shipped.target.tobytes(), shipped.target.dtype) == (y.tobytes(), y.dtype)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("load_iris", {"as_frame": True}),
        ("load_digits", {"n_class": 5}),
        ("load_diabetes", {"scaled": False}),
        ("load_linnerud", {}),
        ("make_circles", {"n_samples": 10}),
        *(
            ("make_moons", {"n_samples": 10, "random_state": 0} | changed)
            for changed in (
                *({"n_samples": (5, 6)}, {"n_samples": 0}, {"n_samples": True}, {"shuffle": False}, {"noise": -1}),
                *({"noise": np.nan}, {"random_state": None}, {"random_state": -1}, {"random_state": 2**32}),
            )
        ),
        ("make_moons", {"random_state": 0}),
    ],
)
def test_other_functions_and_arguments_are_left_to_scikit_learn(name: str, arguments: dict[str, Any]):
    assert load_shipped(f"sklearn.datasets.{name}", **arguments) is None


def test_a_dataset_of_another_module_is_not_shipped():
    assert load_shipped("exp.data.synthetic.xor") is None
