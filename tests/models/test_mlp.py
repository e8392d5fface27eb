import pytest
import torch
from models.each_engine import losses_by_engine
from torch import nn

from exp.models.mlp import MLP
from exp.models.realmlp import RealMLP
from exp.models.tabm import TabM


def test_layers_are_in_order():
    model = MLP(30, 2, hidden=[4, 3], activation="tanh", dropout=0.1, output_activation="sigmoid")
    assert [type(layer).__name__ for layer in model] == "Linear Tanh Dropout Linear Tanh Dropout Linear Sigmoid".split()
    assert model(torch.zeros(5, 30)).shape == (5, 2)


@pytest.mark.parametrize("model", [MLP, RealMLP, TabM])
def test_all_features_are_numbers_without_cardinalities(model: type[MLP] | type[RealMLP] | type[TabM]):
    for embedding in ("pbld", "piecewise"):
        torch.manual_seed(0)
        one = model(2, 1, embedding=embedding)
        torch.manual_seed(0)
        other = model(2, 1, embedding=embedding, cardinalities=(0, 0))
        assert [tuple(p.shape) for p in one.parameters()] == [tuple(p.shape) for p in other.parameters()]


def test_an_integer_is_one_hidden_layer():
    assert [layer.out_features for layer in MLP(3, 1, hidden=7) if hasattr(layer, "out_features")] == [7, 1]


@pytest.mark.parametrize(("norm", "layer"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)])
def test_a_norm_comes_before_each_activation(norm: str, layer: type[nn.Module]):
    assert [type(one) for one in MLP(3, 1, [4, 5], norm=norm)] == [nn.Linear, layer, nn.ReLU] * 2 + [nn.Linear]


def test_a_layer_as_wide_as_the_one_before_is_added_to_its_input():
    model, x = MLP(4, 1, [4, 4, 5], residual=True), torch.randn(6, 4)
    first, _, block, wider, *_ = model  # the inputs are no hidden layer
    hidden = first(x).relu()
    assert torch.equal(nn.Sequential(*list(model)[:3])(x), hidden + block[0](hidden).relu())
    assert isinstance(wider, nn.Linear)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_replay_has_the_bits_of_eager_steps(norm: str):
    line = f"model.norm={norm} model.residual=true model.hidden=[8,8] dataset=wine epochs=5"
    eager, replayed = losses_by_engine(*line.split())
    assert eager == replayed
