"""RealMLP, a multilayer perceptron for tables (Holzmueller, Grinsztajn and Steinwart 2024)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from exp.models.activations import ParametricActivation, make_activation
from exp.models.feature_embedding import layer_widths, make_feature_embedding
from exp.models.ntk_linear import NTKLinear
from exp.models.scheduled_dropout import ScheduledDropout

# Rows that initial parameters are fitted to.
_MAX_ROWS = 2**14


class RealMLP(nn.Module):
    """Outputs [B, out_features] for inputs [B, in_features]: a scale for each feature, then layers of NTKLinear.

    Numbers may be embedded first.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: Activation after each hidden layer, a key of ACTIVATIONS.
        embedding: How numbers are embedded, a key of NUMBER_EMBEDDINGS; None or none: they are not.
        parametric: Whether each hidden unit learns how much of the activation it applies.
        dropout: Probability of dropping a hidden unit at first; it falls to 0 at the end of training.
        init: `normal`: parameters are drawn, and the last layer is 0; `data`: layers are fitted to the training rows.
        category_dim: Values for each embedded category; None: 8.
        cardinalities: What each input is, as in FeatureEmbedding; empty: all are numbers.
        steps: The number of forward passes of training, for `dropout`.

    Raises:
        ValueError: The activation, the embedding or `init` is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] = (256, 256, 256),
        activation: str = "selu",
        embedding: str | None = None,
        category_dim: int | None = None,
        parametric: bool = False,
        dropout: float = 0.0,
        init: str = "normal",
        cardinalities: Sequence[int] = (),
        steps: int = 1,
    ) -> None:
        super().__init__()
        if init not in ("normal", "data"):
            raise ValueError(f"init must be one of normal, data, not {init!r}")
        self.init = init
        self.features = make_feature_embedding(in_features, cardinalities, embedding, category_dim)
        widths = layer_widths(in_features, self.features, hidden)
        self.scale = nn.Parameter(torch.ones(widths[0]))
        self.layers = nn.Sequential()
        for before, after in pairwise(widths):
            one = make_activation("activation", activation)
            self.layers.append(NTKLinear(before, after))
            self.layers.append(ParametricActivation(after, one) if parametric else one)
            if dropout:
                self.layers.append(ScheduledDropout(dropout, steps))
        last = NTKLinear(widths[-1], out_features)
        if init == "normal":
            last.set_to_zero()
        self.layers.append(last)

    def forward(self, x: Tensor) -> Tensor:
        if self.features is not None:
            x = self.features(x)
        return self.layers(x * self.scale)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Fit the embedding to rows [N, in_features] of training and, if init=data, the initial parameters."""
        if self.features is not None:
            self.features.initialize(x)
        if self.init != "data":
            return
        x = x[:_MAX_ROWS]
        x = (x if self.features is None else self.features(x)) * self.scale
        for layer in self.layers:
            if isinstance(layer, NTKLinear):
                layer.fit(x)
            if not isinstance(layer, ScheduledDropout):
                x = layer(x)
