"""The average of models: NumPy's mean of their probabilities or values, and outputs that mean it to the loss."""

import numpy as np
import pytest
import torch
from torch import nn

from exp.config.target_kind import TargetKind
from exp.data.target_scale import TargetScale
from exp.training.average_outputs import average_outputs, to_values
from exp.training.make_objective import make_objective

RNG = np.random.default_rng(0)


def random_outputs(models: int, outputs: int) -> list[np.ndarray]:
    return [RNG.normal(0, 3, (20, outputs)).astype(np.float32) for _ in range(models)]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z.astype(np.float64) - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_probabilities_of_classes_are_averaged():
    objective = make_objective(nn.CrossEntropyLoss(), "classes", TargetKind("classes", ("a", "b", "c")))
    outputs = random_outputs(4, 3)
    expected = np.mean([softmax(output) for output in outputs], axis=0)
    average = average_outputs([objective] * 4, [torch.from_numpy(output) for output in outputs])
    assert average.dtype == torch.float32
    probabilities = objective.probabilities(average)
    assert probabilities is not None
    assert np.allclose(probabilities.numpy(), expected, atol=1e-6)
    y = RNG.integers(0, 3, 20)
    loss = float(objective.criterion(average, torch.from_numpy(y)))
    assert loss == pytest.approx(-np.log(expected[np.arange(20), y]).mean(), rel=1e-6)
    assert list(objective.prediction(average)) == list(expected.argmax(1))


@pytest.mark.parametrize(("criterion", "output"), [(nn.BCEWithLogitsLoss(), "logit"), (nn.BCELoss(), "probability")])
def test_probabilities_of_the_second_class_are_averaged(criterion: nn.Module, output: str):
    objective = make_objective(criterion, output, TargetKind("classes", ("no", "yes")))
    outputs = random_outputs(3, 1)
    second = [1 / (1 + np.exp(-one.astype(np.float64))) for one in outputs]
    given = outputs if output == "logit" else [one.astype(np.float32) for one in second]
    expected = np.mean(second, axis=0)
    average = average_outputs([objective] * 3, [torch.from_numpy(one) for one in given])
    assert np.allclose(objective.scalar_output(average).numpy(), expected[:, 0], atol=1e-6)
    y = RNG.integers(0, 2, 20)
    loss = float(objective.criterion(average, torch.from_numpy(y).float().reshape(-1, 1)))
    likelihood = np.where(y == 1, expected[:, 0], 1 - expected[:, 0])
    assert loss == pytest.approx(-np.log(likelihood).mean(), rel=1e-5)


def test_classes_as_values_are_averaged_as_values():
    objective = make_objective(nn.MSELoss(), "value", TargetKind("classes", ("no", "yes")))
    outputs = random_outputs(3, 1)
    average = average_outputs([objective] * 3, [torch.from_numpy(one) for one in outputs])
    assert np.allclose(average.numpy(), np.mean(outputs, axis=0), atol=1e-6)


@pytest.mark.parametrize("log", [False, True])
def test_values_are_averaged_in_their_own_unit(log: bool):
    """Each model has the scale of its own training rows."""
    scales = [TargetScale((mean, 5.0), (deviation, 2.0), log) for mean, deviation in ((3.0, 0.5), (4.0, 0.25))]
    objectives = [make_objective(nn.MSELoss(), "value", TargetKind("numbers", ("1", "2")), scale) for scale in scales]
    outputs = random_outputs(2, 2)
    own = [one.astype(np.float64) * scale.scale + scale.mean for one, scale in zip(outputs, scales, strict=True)]
    expected = np.mean([np.exp(values) for values in own] if log else own, axis=0)
    average = average_outputs(objectives, [torch.from_numpy(one) for one in outputs])
    assert np.allclose(objectives[0].prediction(average).numpy(), expected, rtol=1e-5)


def test_values_without_a_scale_are_averaged():
    objective = make_objective(nn.MSELoss(), "value", TargetKind("numbers", ("y",)))
    outputs = random_outputs(3, 1)
    average = average_outputs([objective] * 3, [torch.from_numpy(one) for one in outputs])
    assert np.allclose(average.numpy(), np.mean(outputs, axis=0), atol=1e-6)


def test_certain_models_have_a_finite_loss():
    multiclass = make_objective(nn.CrossEntropyLoss(), "classes", TargetKind("classes", ("a", "b")))
    sure = torch.tensor([[2000.0, -2000.0]])
    average = average_outputs([multiclass] * 2, [sure, sure])
    assert torch.isfinite(multiclass.criterion(average, torch.tensor([1])))
    binary = make_objective(nn.BCEWithLogitsLoss(), "logit", TargetKind("classes", ("a", "b")))
    for logit in (-2000.0, 2000.0):
        average = average_outputs([binary] * 2, [torch.tensor([[logit]])] * 2)
        for y in (0.0, 1.0):
            assert torch.isfinite(binary.criterion(average, torch.tensor([[y]])))
        assert float(to_values(binary, average)) == pytest.approx(float(logit > 0), abs=1e-12)
