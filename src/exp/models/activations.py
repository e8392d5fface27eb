"""The activations by name, and one with a weight for each unit."""

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
}


def make_activation(key: str, name: str) -> nn.Module:
    """Return the activation `name`, a value of model.`key`. ValueError if it is unknown."""
    if name not in ACTIVATIONS:
        raise ValueError(f"{key} must be one of {', '.join(ACTIVATIONS)}, not {name!r}")
    return ACTIVATIONS[name]()


class ParametricActivation(nn.Module):
    """x + blend * (f(x) - x) for x [..., features]: the identity where blend is 0, and f where it is 1, as at first."""

    def __init__(self, features: int, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.blend = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.activation(x), self.blend.to(x.dtype))  # under autocast, x is narrower
