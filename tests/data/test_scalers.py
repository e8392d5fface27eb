"""dataset.scaler: each scaler compared with scikit-learn or its formula; outliers, ties and constant columns."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import sklearn.preprocessing as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from exp.data.dataset import as_dataset
from exp.data.prepare import prepare
from exp.data.preprocessing import Preprocessing
from exp.data.scalers.quantile import QuantileScaler
from exp.data.scalers.registry import SCALERS
from exp.data.scalers.robust import RobustScaler
from exp.data.scalers.standard import StandardScaler

TABLES = arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-1e6, 1e6))


def table(rows: int = 500) -> np.ndarray:
    """Return a normal column, one with outliers, one of few values, and one of mostly one value."""
    random = np.random.default_rng(0)
    columns = [random.normal(3, 2, rows), random.standard_cauchy(rows), random.integers(0, 3, rows)]
    return np.stack([*columns, random.random(rows) < 0.1], axis=1).astype(np.float64)


def test_standard_is_scikit_learns_to_the_bit():
    x = table()
    assert (StandardScaler.fit(x).transform(x) == reference.StandardScaler().fit_transform(x)).all()


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 40), st.just(3)),
        elements=st.one_of(st.floats(-1e30, 1e30), st.sampled_from([0.0, -0.0, 1.0, 1e8, 1e8 + 1, 1e-300])),
    ),
    st.sampled_from("CF"),
)
@settings(max_examples=100)
def test_standard_has_the_mean_and_scale_of_scikit_learn(x: np.ndarray, order: Any):
    """But for constant columns with a large mean, which it scales by the mean."""
    x = np.asarray(x, order=order)
    scaler, fitted = StandardScaler.fit(x), reference.StandardScaler().fit(x)
    assert np.array(scaler.mean).tobytes() == fitted.mean_.tobytes()
    scale = np.where((fitted.scale_ == 1) & (np.abs(fitted.mean_) > 1e6), np.abs(fitted.mean_), fitted.scale_)
    assert np.array(scaler.scale).tobytes() == scale.tobytes()


def test_robust_is_scikit_learns_before_the_clip():
    x = table()[:, :3]
    z = reference.RobustScaler().fit_transform(x)
    assert RobustScaler.fit(x).transform(x) == pytest.approx(z / np.sqrt(1 + (z / 3) ** 2), rel=1e-12)


def test_robust_divides_by_half_of_the_range_where_the_quartiles_are_equal():
    x = table()[:, 3:]  # 0 and a few 1
    scaler = RobustScaler.fit(x)
    assert scaler.factor == (2.0,)
    assert sorted(set(scaler.transform(x).ravel())) == pytest.approx([0, 2 / np.sqrt(1 + 4 / 9)])


def test_quantile_is_normal_and_keeps_the_order():
    x = table(3000)
    z = QuantileScaler.fit(x).transform(x)
    assert z[:, 0].mean() == pytest.approx(0, abs=0.05)
    assert z[:, 1].std() == pytest.approx(1, abs=0.1)
    order = np.argsort(x[:, 1], kind="stable")
    assert (np.diff(z[order, 1]) >= 0).all()


def test_quantile_transforms_new_rows_as_scikit_learn_does():
    x, new = table(900), table(100) * 3
    scaler = QuantileScaler.fit(x)
    fitted: Any = reference.QuantileTransformer(n_quantiles=30, output_distribution="normal", subsample=None).fit(x)
    fitted.quantiles_ = np.array(scaler.quantiles)
    assert (scaler.transform(new) == fitted.transform(new)).all()
    assert len(scaler.quantiles) == 30


@pytest.mark.parametrize("kind", SCALERS)
@pytest.mark.parametrize("power", [-300, -100, -40, 40, 100])
def test_the_unit_of_a_column_does_not_matter(kind: str, power: int):
    x, unit = table(), 2.0**power  # a power of two, so that nothing is rounded
    z = SCALERS[kind].fit(x).transform(x * 1.5)
    in_unit = SCALERS[kind].fit(x * unit)
    assert (in_unit.transform(x * 1.5 * unit) == z).all()
    assert np.allclose(in_unit.restore(z) / unit, SCALERS[kind].fit(x).restore(z), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", SCALERS)
@given(x=TABLES)
@settings(max_examples=40)
def test_every_table_is_scaled_to_finite_numbers_and_kept_by_json(kind: str, x: np.ndarray):
    scaler = SCALERS[kind].fit(x)
    z = scaler.transform(x)
    assert z.shape == x.shape
    assert np.isfinite(z).all()
    again = SCALERS[kind].from_json(json.loads(json.dumps(asdict(scaler))))
    assert (again.transform(x) == z).all()


def test_robust_clips_what_is_far_out_and_leaves_out_what_is_too_narrow():
    x = np.array([[0.0, 5e-324], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    scaler = RobustScaler.fit(x)
    assert scaler.transform(np.array([[1e300, 1.0]])).tolist() == [[pytest.approx(3.0), 0.0]]


def test_robust_stays_finite_where_a_narrow_column_has_an_outlier():
    x = np.array([[0.0, 0.0], [3e-308, 1e-150], [6e-308, 2e-150], [9e-308, 3e-150], [1e6, 1e6]])
    z = RobustScaler.fit(x).transform(np.array([[1e6, 1e6], [-1e308, 1e308]]))
    assert z.tolist() == [[0.0, pytest.approx(3.0)], [0.0, pytest.approx(3.0)]]


@pytest.mark.parametrize("kind", SCALERS)
@given(st.integers(1, 40), st.floats(-1e6, 1e6), st.floats(-1e100, 1e100))
@settings(max_examples=40)
def test_a_constant_column_is_zero_and_another_value_is_too_or_as_scikit_learn_has_it(
    kind: str, rows: int, value: float, other: float
):
    x, new = np.full((rows, 1), value), np.array([[other]])
    scaler = SCALERS[kind].fit(x)
    assert scaler.transform(x) == pytest.approx(0, abs=1e-6)
    expected = reference.StandardScaler().fit(x).transform(new) if kind == "standard" else 0
    assert (scaler.transform(new) == expected).all()


@pytest.mark.parametrize("kind", SCALERS)
def test_features_are_restored(kind: str):
    x = table()[:, :1]
    scaler = SCALERS[kind].fit(x)
    inner = np.quantile(x, np.linspace(0.1, 0.9, 9)).reshape(-1, 1)
    assert scaler.restore(scaler.transform(inner)) == pytest.approx(inner, rel=1e-6)


@pytest.mark.parametrize("kind", [*SCALERS, "none"])
def test_the_training_rows_alone_decide(kind: str):
    x = table()
    y = np.arange(len(x)) % 2
    data = prepare(as_dataset((x, y)), [0.6, 0.2, 0.2], kind, seed=0)
    rows = data.train.row_numbers - 1
    changed = x.copy()
    changed[np.setdiff1d(np.arange(len(x)), rows)] += 1000
    again = prepare(as_dataset((changed, y)), [0.6, 0.2, 0.2], kind, seed=0)
    assert (again.train.x == data.train.x).all()
    assert Preprocessing.from_json(data.preprocessing.to_json()) == replace(data.preprocessing)
