import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exp.config import constraints
from exp.errors import ConfigError, nearest
from exp.models.mlp import ACTIVATIONS, MLP
from exp.training.devices import select_device
from exp.training.plan import compute_period, parse_cadence


@pytest.mark.parametrize(
    ("knob", "steps"),
    [("auto", 7), ("1", 1), ("100", 100), ("100 steps", 100), ("1step", 1), ("2 epochs", 70), ("1epoch", 35)],
)
def test_a_cadence_in_steps(knob: str, steps: int):
    assert parse_cadence(knob, steps_per_epoch=35, auto=7) == steps


@given(st.integers(1, 10**9))
def test_about_a_thousand_points_however_long(total: int):
    points = total // compute_period(total)
    assert points <= 1000
    assert points >= min(total, 500)


def test_layers_from_input_to_output():
    model = MLP(30, 2, hidden=[4, 3], activation="tanh", dropout=0.1, output_activation="sigmoid")
    assert [type(layer).__name__ for layer in model] == "Linear Tanh Dropout Linear Tanh Dropout Linear Sigmoid".split()
    assert model(torch.zeros(5, 30)).shape == (5, 2)


def test_a_number_is_one_hidden_layer():
    assert [layer.out_features for layer in MLP(3, 1, hidden=7) if hasattr(layer, "out_features")] == [7, 1]


def test_the_limits_know_the_activations_though_they_know_no_torch():
    allowed, _ = constraints.CONSTRAINTS["model.activation"]
    assert isinstance(allowed, constraints.OneOf)
    assert allowed.options == tuple(ACTIVATIONS)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("optimiser.lr", "optimizer.lr"),
        ("lr", "optimizer.lr"),
        ("optimizer.learning_rate", "optimizer.lr"),
        ("batch_size", "batching.batch_size"),
        ("batching.size", "batching.batch_size"),
        ("epoch", "epochs"),
        ("model.hiden", "model.hidden"),
        ("zebra", None),
        ("model.zebra", None),
    ],
)
def test_the_nearest_name(word: str, meant: str | None):
    known = [
        "optimizer.lr",
        "optimizer.momentum",
        "batching.batch_size",
        "epochs",
        "seed",
        "model.hidden",
        "model.bias",
    ]
    assert nearest(word, known) == meant


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match=r"device.name=cuda is not on this machine"):
        select_device("cuda")


def test_a_device_nobody_has():
    with pytest.raises(ConfigError, match=r"device.name=abacus is no device"):
        select_device("abacus")
