"""Calibration compared with scikit-learn, the laws of its optimum, and the threshold compared with all others."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import one_in
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.metrics import log_loss as sklearn_log_loss
from torch import nn

from exp.errors import DataError
from exp.training.calibration import Calibration, CalibrationLayer, best_threshold, fit_calibration
from exp.training.class_metrics import ClassRows, log_loss


def overconfident(classes: int, rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits [N, K] that are too large, probabilities, and true classes."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, classes))
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([random.choice(classes, p=row) for row in chance])
    logits = 3 * logits + np.linspace(0, 2, classes)
    return logits, torch.from_numpy(logits).softmax(1).numpy(), truth


class Fitted:
    """A classifier with given logits; its one feature is the number of the row."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits, self.classes_, self.fitted_ = logits, np.arange(logits.shape[1]), True

    def fit(self, x: Any, y: Any) -> "Fitted":  # noqa: ARG002
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return self.logits[x[:, 0].astype(int)]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.decision_function(x).argmax(1)

    def __sklearn_tags__(self) -> Any:
        return LogisticRegression().__sklearn_tags__()


@pytest.mark.filterwarnings("ignore:Since FrozenEstimator does not appear to accept sample_weight")
@pytest.mark.parametrize("has_weights", [False, True])
def test_the_temperature_is_scikit_learns(has_weights: bool):
    logits, probabilities, truth = overconfident(3)
    weights = np.random.default_rng(1).random(len(truth)) if has_weights else None
    ours = fit_calibration(probabilities, truth, weights, has_bias=False)
    theirs = CalibratedClassifierCV(FrozenEstimator(Fitted(logits)), method="temperature")
    theirs.fit(np.arange(len(truth)).reshape(-1, 1), truth, sample_weight=weights)
    calibrator = theirs.calibrated_classifiers_[0].calibrators[0]
    assert ours.scale == pytest.approx(float(calibrator.beta_), rel=1e-4)
    assert ours.bias == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("has_weights", [False, True])
def test_the_bias_of_two_classes_is_a_logistic_regression_on_the_logit(has_weights: bool):
    logits, probabilities, truth = overconfident(2)
    weights = np.random.default_rng(1).random(len(truth)) if has_weights else None
    ours = fit_calibration(probabilities, truth, weights, has_bias=True)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, 1:] - logits[:, :1], truth, weights)
    assert ours.scale == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert ours.bias[1] - ours.bias[0] == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_with_a_bias_the_mean_probability_of_each_class_is_its_share():
    """This is where the derivative by each bias is 0."""
    logits, probabilities, truth = overconfident(4)
    weights = np.random.default_rng(1).random(len(truth))
    found = fit_calibration(probabilities, truth, weights, has_bias=True)
    layer = CalibrationLayer(found, 4, of_probabilities=False).double()
    calibrated = layer(torch.from_numpy(logits)).softmax(1).numpy()
    shares = np.bincount(truth, weights) / weights.sum()
    assert np.average(calibrated, axis=0, weights=weights) == pytest.approx(shares, abs=1e-6)
    assert sum(found.bias) == pytest.approx(0, abs=1e-9)
    before, after = (sklearn_log_loss(truth, p, sample_weight=weights) for p in (probabilities, calibrated))
    assert after < before


@pytest.mark.parametrize("has_bias", [False, True])
def test_rows_that_are_all_predicted_right_fit_no_scale(has_bias: bool):
    rows = np.array([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6]])
    with pytest.raises(DataError, match=r"every validation row \(3\) is predicted right"):
        fit_calibration(rows, np.array([0, 1, 1]), None, has_bias)
    if has_bias:  # a bias predicts the third row right too
        with pytest.raises(DataError):
            fit_calibration(rows, np.array([0, 1, 0]), None, has_bias)
    else:
        fit_calibration(rows, np.array([0, 1, 0]), None, has_bias)
    fit_calibration(rows, np.array([0, 0, 1]), None, has_bias)


@pytest.mark.parametrize("of_probabilities", [False, True])
def test_one_output_is_calibrated_as_two(of_probabilities: bool):
    calibration = Calibration(0.5, (0.3, -0.3))
    logits = torch.tensor([[-2.0], [0.0], [3.0], [80.0]])
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = CalibrationLayer(calibration, 2, False)(both).softmax(1)[:, 1]
    layer = CalibrationLayer(calibration, 1, of_probabilities)
    output = layer(torch.sigmoid(logits)) if of_probabilities else torch.sigmoid(layer(logits))
    assert output[:3, 0] == pytest.approx(expected[:3], rel=1e-6)
    assert torch.isfinite(output).all()


def test_a_sigmoid_of_exactly_0_and_1_stays_a_probability():
    layer = CalibrationLayer(Calibration(2.0, (0.0, 0.0)), 1, of_probabilities=True)
    output = layer(torch.tensor([[0.0], [1.0]]))
    assert nn.functional.binary_cross_entropy(output, torch.tensor([[0.0], [1.0]])) < 1e-6


@pytest.mark.parametrize("seed", one_in(3, range(3)))
def test_no_threshold_is_better(seed: int):
    _, probabilities, truth = overconfident(2, rows=60, seed=seed)

    def cost(rows: ClassRows) -> float:
        return -f1_score(rows.truth, rows.predicted)

    found = best_threshold(cost, ClassRows(truth, probabilities.argmax(1), probabilities))
    every = [f1_score(truth, probabilities[:, 1] >= threshold) for threshold in np.linspace(0.005, 0.995, 199)]
    assert f1_score(truth, probabilities[:, 1] >= found) >= max(every)


def test_a_threshold_that_changes_nothing_is_one_half():
    _, probabilities, truth = overconfident(2)
    assert best_threshold(log_loss, ClassRows(truth, probabilities.argmax(1), probabilities)) == 0.5
