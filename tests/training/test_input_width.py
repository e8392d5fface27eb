"""The error for a model whose first layer takes another number of values than the rows have."""

import pytest
import torch
from torch import nn

from exp.errors import ConfigError
from exp.training.input_width import check_input_width

X = torch.ones(6, 4)


class Named(nn.Module):
    """A module without layers, whose in_features means something of its own."""

    in_features = 9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"another cause for {len(x)} rows")


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(8, 3), nn.BatchNorm1d(8), nn.LayerNorm(8), nn.LSTM(8, 3)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_first_layer_of_another_width_is_told_with_the_columns(layer: nn.Module):
    with pytest.raises(ConfigError) as caught:
        check_input_width(nn.Sequential(nn.Sequential(layer)), X, ["age", "rooms, all", "sex=(f)", "sex=(m)"])
    assert caught.value.problem == (
        'model: Sequential takes 8 values, the rows have 4: "age", "rooms, all", "sex=(f)", "sex=(m)"'
    )
    assert caught.value.fix.startswith("a first layer of 4 values; ")
    assert not any(module._forward_pre_hooks for module in layer.modules())


def test_many_columns_are_counted():
    with pytest.raises(ConfigError, match=r"takes 1 value, the rows have 30: x0, x1, .*, x19 and 10 more\n"):
        check_input_width(nn.Linear(1, 3), torch.ones(6, 30), [f"x{number}" for number in range(30)])


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(4, 3),
        nn.Sequential(nn.Linear(4, 5), nn.Linear(6, 3)),  # fails in its second layer
        nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(8, 3)),
        nn.Sequential(nn.Identity(), nn.Conv1d(4, 3, 1)),
        Named(),
    ],
)
def test_other_failures_are_left_to_the_error_of_torch(model: nn.Module):
    check_input_width(model, X, ["a", "b", "c", "d"])
