from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score, root_mean_squared_error

from exp.data.splits import Split
from exp.training.metrics import AccuracySum, LabelSum, MetricSums, SquaredErrorSum

counts = st.integers(1, 1000)


@given(st.lists(st.tuples(counts, st.floats(0, 100), st.integers(0, 1000)), min_size=1, max_size=9))
def test_metrics_of_parts_add_up_to_those_of_the_whole(parts):
    total = sum((n for n, _, _ in parts), 0)
    first, *others = [MetricSums(n, loss, AccuracySum(n, min(n, correct))).as_window() for n, loss, correct in parts]
    for other in others:
        first.add_to_first(other)
    whole = first.window(0)
    assert whole.count == whole.score.count == total
    assert whole.loss == pytest.approx(sum(loss for _, loss, _ in parts) / total)
    assert whole.values()["accuracy"] == sum(min(n, correct) for n, _, correct in parts) / total


@given(st.integers(0, 2**32), st.integers(3, 60), st.integers(1, 3), st.integers(1, 2))
def test_regression_metrics_of_parts_equal_those_of_scikit_learn(seed: int, n: int, outputs: int, cut: int):
    rng = np.random.default_rng(seed)
    truth, guess = rng.normal(50, 7, (n, outputs)), rng.normal(50, 7, (n, outputs))
    sizes, variance = [cut, n - cut], tuple(truth.var(0))
    score = SquaredErrorSum.of_segments(torch.tensor(guess), torch.tensor(truth), sizes, variance)
    sums = MetricSums(np.array(sizes, float), np.zeros(2), score)
    sums.add_to_first(sums[1:])
    values = sums.window(0).values()
    assert values["r2"] == pytest.approx(r2_score(truth, guess))
    assert values["rmse"] == pytest.approx(root_mean_squared_error(truth.ravel(), guess.ravel()))


def test_a_constant_target_has_no_r2():
    split = Split(torch.ones(3, 1), torch.full((3, 1), 0.1))
    sums = SquaredErrorSum.of_segments(torch.ones(3, 1), split.y, [3], split.variance)
    assert set(sums.values()) == {"rmse"}


@given(st.floats(2.0**-100, 2.0**100, width=32), st.integers(1, 10**6))
def test_the_loss_of_one_batch_is_restored_bit_for_bit(loss: float, count: int):
    assert MetricSums(count, loss * count, AccuracySum(count, 0)).loss == loss


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 3), st.booleans())
def test_columns_of_windows_have_the_bits_of_each_window(seed: int, windows: int, outputs: int, is_weighted: bool):
    """Values of columns, and sums with them, are those of Python's numbers."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, windows).tolist()
    n = sum(sizes)
    weights = torch.from_numpy(rng.uniform(0.1, 3, n)) if is_weighted else None
    guess, truth = torch.from_numpy(rng.normal(size=(n, outputs))), torch.from_numpy(rng.normal(size=(n, outputs)))
    first, second = torch.from_numpy(rng.integers(0, 3, n)), torch.from_numpy(rng.integers(0, 3, n))
    for score in (
        AccuracySum.of_segments(first, second, sizes, weights),
        LabelSum.of_segments((guess > 0).long(), (truth > 0).long(), sizes, weights),
        SquaredErrorSum.of_segments(guess, truth, sizes, (0.7,) * outputs, weights=weights),
    ):
        loss_weights = rng.uniform(0.1, 3, windows) if is_weighted else None
        sums = MetricSums(np.array(sizes, float), rng.normal(size=windows), score, loss_weights)
        columns = sums.columns()
        singles = [sums.window(index) for index in range(windows)]
        assert columns == {name: [single.values()[name] for single in singles] for name in columns}
        assert MetricSums.from_dict(asdict(singles[-1])) == singles[-1]


def test_a_metric_that_is_too_large_is_infinite_in_a_column_too():
    score = SquaredErrorSum(np.ones(1), (np.full(1, 1e300), np.full(1, np.inf)), (1e-20, 1.0))
    sums = MetricSums(np.ones(1), np.full(1, np.inf), score)
    assert sums.columns() == {"loss": [np.inf], "rmse": [np.inf], "r2": [-np.inf]}
    assert sums.columns() == {name: [value] for name, value in sums.window(0).values().items()}
