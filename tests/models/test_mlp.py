import torch

from exp.models.mlp import MLP


def test_layers_are_in_order():
    model = MLP(30, 2, hidden=[4, 3], activation="tanh", dropout=0.1, output_activation="sigmoid")
    assert [type(layer).__name__ for layer in model] == "Linear Tanh Dropout Linear Tanh Dropout Linear Sigmoid".split()
    assert model(torch.zeros(5, 30)).shape == (5, 2)


def test_an_integer_is_one_hidden_layer():
    assert [layer.out_features for layer in MLP(3, 1, hidden=7) if hasattr(layer, "out_features")] == [7, 1]
