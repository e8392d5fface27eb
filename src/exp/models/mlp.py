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
    "mish": nn.Mish,
    "softplus": nn.Softplus,
}


class MLP(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features]. Layers are initialized from input to output.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: Activation after each hidden layer, a key of ACTIVATIONS.
        output_activation: Activation after the last layer; None: linear (logits, or values of a regression).
        dropout: Probability of dropping a hidden unit, applied after its activation.

    Raises:
        ValueError: An activation is unknown.
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
