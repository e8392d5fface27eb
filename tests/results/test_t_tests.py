"""Interval and paired test against scipy, and against the formula by hand; how often an interval holds the mean."""

import math
import statistics
from itertools import product

import numpy as np
import pytest
from conftest import one_in
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from exp.results.t_tests import compute_paired_p_value, mean_interval

VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=2, max_size=20)
PAIRS = st.lists(st.tuples(*[st.floats(-1e3, 1e3).map(lambda value: round(value, 3))] * 2), min_size=2, max_size=20)


@given(VALUES)
def test_without_overlap_the_interval_is_that_of_scipy(values: list[float]):
    interval = mean_interval(values, 0.0)
    if len(set(values)) == 1:
        assert interval is None
        return
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert interval == pytest.approx(expected, rel=1e-9, abs=1e-9) or max(values) - min(values) < 0.01


@given(PAIRS)
def test_without_overlap_the_test_is_that_of_scipy(pairs: list[tuple[float, float]]):
    first, second = map(list, zip(*pairs, strict=True))
    p = compute_paired_p_value(first, second, 0.0)
    differences = np.subtract(first, second)
    if p is None:
        assert np.ptp(differences) <= 1e-6 * np.abs(pairs).max()
    else:
        assert p == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-6)


@given(VALUES, st.floats(0.01, 2))
def test_the_interval_is_wider_by_the_corrections_factor(values: list[float], ratio: float):
    plain, corrected = mean_interval(values, 0.0), mean_interval(values, ratio)
    if plain is not None and corrected is not None:
        factor = math.sqrt(1 + len(values) * ratio)  # (1/n + ratio) / (1/n)
        assert corrected[1] - corrected[0] == pytest.approx(factor * (plain[1] - plain[0]))
        assert sum(corrected) == pytest.approx(sum(plain), abs=1e-6)


def test_the_corrected_test_by_hand():
    """Differences 1, 2, 3 with n_test/n_train = 1/4: t = 2 / sqrt(1/3 + 1/4), and with 2 degrees of freedom the tail is
    (1 - t / sqrt(2 + t^2)) / 2."""
    t = 2 / math.sqrt(7 / 12)
    tail = (1 - t / math.sqrt(2 + t * t)) / 2
    assert compute_paired_p_value([11.0, 22.0, 33.0], [10.0, 20.0, 30.0], 0.25) == pytest.approx(2 * tail, rel=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ([], [], 0.0),
        ([0.9], [0.1], 0.0),
        ([0.3, 0.4], [0.1, 0.2], 0.0),  # equal differences but for rounding
        ([0.5, 0.5, 0.5], [0.9, 0.9, 0.9], 0.2),
        ([1.0, math.inf], [1.0, 2.0], 0.0),
        ([1.0, math.nan], [1.0, 2.0], 0.0),
        ([1.0, 5.0, 2.0], [2.0, 3.0, 4.0], math.nan),
    ],
)
def test_without_a_spread_there_is_no_test(first: list[float], second: list[float], ratio: float):
    assert compute_paired_p_value(first, second, ratio) is None
    assert compute_paired_p_value(second, first, ratio) is None


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [1.0, math.inf], [0.1 + 0.2, 0.3]])
def test_without_a_spread_there_is_no_interval(values: list[float]):
    assert mean_interval(values, 0.0) is None


@pytest.mark.parametrize(("ratio", "repeats"), one_in(3, product([0.0, 1 / 4, 1 / 3], [2, 3, 5, 15])))
def test_the_interval_holds_the_mean_in_95_percent(ratio: float, repeats: int):
    """Of normal results with the correlation n_test / (n_test + n_train) that the correction assumes."""
    draw = np.random.default_rng([repeats, int(100 * ratio)])
    correlation = ratio / (1 + ratio)
    shared = np.sqrt(correlation) * draw.normal(size=(2000, 1))
    results = 5 + shared + np.sqrt(1 - correlation) * draw.normal(size=(2000, repeats))
    intervals = [mean_interval(values, ratio) for values in results.tolist()]
    held = statistics.fmean(interval is not None and interval[0] <= 5 <= interval[1] for interval in intervals)
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)
