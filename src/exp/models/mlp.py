"""A multilayer perceptron: linear layers with an activation between them."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


class MLP(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features]; layers are made, and so drawn, from input to output.

    `dropout` is the probability of dropping a hidden unit, after its activation. `output_activation` None leaves the
    last layer linear: logits, or values.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] = (10,),
        activation: str = "relu",
        output_activation: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        widths = [in_features, *([hidden] if isinstance(hidden, int) else hidden)]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), _make_activation("activation", activation)]
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[-1], out_features))
        if output_activation is not None:
            layers.append(_make_activation("output_activation", output_activation))
        super().__init__(*layers)


def _make_activation(key: str, name: str) -> nn.Module:
    if name not in ACTIVATIONS:
        raise ValueError(f"{key} must be one of {', '.join(ACTIVATIONS)}, not {name!r}")
    return ACTIVATIONS[name]()
