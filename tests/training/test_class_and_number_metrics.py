"""Every metric equals scikit-learn's or SciPy's, with ties, absent classes and weights."""

import warnings
from typing import Any

import numpy as np
import pytest
from conftest import one_in
from scipy.stats import spearmanr
from sklearn import metrics as sk

from exp.config.target_kind import TargetKind
from exp.training import class_metrics, number_metrics
from exp.training.class_metrics import ClassRows
from exp.training.metric_choice import ChosenMetrics
from exp.training.number_metrics import NumberRows


def random_classes(case: int) -> tuple[ClassRows, dict[str, Any]]:
    """Return rows of 2 to 5 classes, some absent, with tied probabilities; and scikit-learn's sample_weight."""
    rng = np.random.default_rng(case)
    count, n = int(rng.integers(2, 6)), int(rng.integers(3, 60))
    present = rng.choice(count, int(rng.integers(1, count + 1)), replace=False)
    probabilities = rng.integers(1, 5, (n, count)).astype(float)  # few values: many ties
    probabilities /= probabilities.sum(1, keepdims=True)
    weights = [None, rng.uniform(0.1, 3, n), rng.integers(0, 3, n) + (np.arange(n) == 0.0)][case % 3]
    rows = ClassRows(rng.choice(present, n), probabilities.argmax(1), probabilities, weights)
    return rows, {} if weights is None else {"sample_weight": weights}


def random_numbers(case: int) -> tuple[NumberRows, dict[str, Any]]:
    rng = np.random.default_rng(case)
    n, targets = int(rng.integers(3, 60)), int(rng.integers(1, 4))
    truth, predicted = (rng.integers(-4, 5, (n, targets)).astype(float) for _ in range(2))
    weights = [None, rng.uniform(0.1, 3, n), rng.integers(0, 3, n) + (np.arange(n) == 0.0)][case % 3]
    return NumberRows(truth, predicted, weights), {} if weights is None else {"sample_weight": weights}


def expect_classes(rows: ClassRows, weight: dict[str, Any]) -> dict[str, float | None]:
    y, predicted, p = rows.truth, rows.predicted, rows.probabilities
    numbers = range(p.shape[1])
    average = {"zero_division": 0, **weight}
    ranked = [1] if p.shape[1] == 2 else numbers
    total = rows.weight
    has_both = [n for n in ranked if total[y == n].sum() > 0 and total[y != n].sum() > 0]
    has_rows = [n for n in ranked if total[y == n].sum() > 0]
    seen = total > 0  # scikit-learn averages over classes of rows without weight, too
    labels = sorted({*y[seen], *predicted[seen]})
    return {
        "error": sk.zero_one_loss(y, predicted, **weight),
        "balanced_accuracy": sk.balanced_accuracy_score(y[seen], predicted[seen], sample_weight=total[seen]),
        "precision": sk.precision_score(y, predicted, labels=labels, average="macro", **average),
        "recall": sk.recall_score(y, predicted, labels=labels, average="macro", **average),
        "f1": sk.f1_score(y, predicted, labels=labels, average="macro", **average),
        "weighted_precision": sk.precision_score(y, predicted, average="weighted", **average),
        "weighted_recall": sk.recall_score(y, predicted, average="weighted", **average),
        "weighted_f1": sk.f1_score(y, predicted, average="weighted", **average),
        "mcc": sk.matthews_corrcoef(y, predicted, **weight),
        "auc": np.mean([sk.roc_auc_score(y == n, p[:, n], **weight) for n in has_both]) if has_both else None,
        "average_precision": (
            np.mean([sk.average_precision_score(y == n, p[:, n], **weight) for n in has_rows]) if has_rows else None
        ),
        "log_loss": sk.log_loss(y, p, labels=list(numbers), **weight),
        "brier": sk.brier_score_loss(y, p if len(numbers) > 2 else p[:, 1], labels=list(numbers), **weight)
        if len(numbers) > 2
        else sk.brier_score_loss(y == 1, p[:, 1], pos_label=True, **weight),
    }


def expect_numbers(rows: NumberRows, weight: dict[str, Any]) -> dict[str, float]:
    y, predicted = rows.truth, rows.predicted
    return {
        "error": np.sqrt(sk.mean_squared_error(y, predicted, **weight)),
        "mae": sk.mean_absolute_error(y, predicted, **weight),
        "mape": sk.mean_absolute_percentage_error(y, predicted, **weight),
        "median_absolute_error": sk.median_absolute_error(y, predicted, **weight),
    }


@pytest.mark.parametrize("case", one_in(10, range(200)))
def test_metrics_of_classes_are_those_of_scikit_learn(case: int):
    rows, weight = random_classes(case)
    with warnings.catch_warnings(action="ignore"):
        expected = expect_classes(rows, weight)
    got = {name: getattr(class_metrics, name)(rows) for name in expected}
    assert got == {n: None if v is None else pytest.approx(v, rel=1e-9, abs=1e-9) for n, v in expected.items()}


def test_metrics_of_numbers_are_those_of_scikit_learn():
    for case in range(200):
        rows, weight = random_numbers(case)
        expected = expect_numbers(rows, weight)
        got = {name: getattr(number_metrics, name)(rows) for name in expected}
        assert got == {n: pytest.approx(value, rel=1e-9, abs=1e-9) for n, value in expected.items()}, case


@pytest.mark.parametrize("case", one_in(2, range(60)))
def test_the_rank_correlation_is_that_of_scipy_and_a_weight_counts_rows(case: int):
    rows, _ = random_numbers(case)
    times = np.ones(len(rows.truth), dtype=int) if case % 3 != 2 or rows.weights is None else rows.weights.astype(int)
    repeated = [np.repeat(values, times, axis=0) for values in (rows.truth, rows.predicted)]
    with warnings.catch_warnings(action="ignore"):
        values = [spearmanr(a, b).statistic for a, b in zip(repeated[0].T, repeated[1].T, strict=True)]
    got = number_metrics.spearman(NumberRows(rows.truth, rows.predicted, times.astype(float)))
    if any(map(np.isnan, values)):
        assert got is None
    else:
        assert got == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)


def test_predictions_that_overflow_have_infinite_errors():
    rows = NumberRows(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [1e200], [np.inf]]))
    names = ("error", "mae", "mape", "median_absolute_error", "spearman", "r2:price", "rmse:price")
    values = ChosenMetrics(names, TargetKind("numbers", ("price",))).of_numbers(rows)
    infinite = {"error": np.inf, "mae": np.inf, "mape": np.inf, "r2:price": -np.inf, "rmse:price": np.inf}
    assert values == {**infinite, "median_absolute_error": 1e200, "spearman": pytest.approx(1)}


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    """By hand: one bin [.6, .7) with gap |1.3 - 1|, one bin [.9, 1] with gap |1.9 - 2|, of four rows."""
    sure = np.array([0.65, 0.65, 0.95, 0.95])
    probabilities = np.stack([sure, 1 - sure], axis=1)
    rows = ClassRows(np.array([0, 1, 0, 0]), np.zeros(4, dtype=int), probabilities)
    assert class_metrics.ece(rows) == pytest.approx((0.3 + 0.1) / 4)
    doubled = ClassRows(rows.truth, rows.predicted, probabilities, np.array([1.0, 1, 2, 2]))
    assert class_metrics.ece(doubled) == pytest.approx((0.3 + 0.2) / 6)
