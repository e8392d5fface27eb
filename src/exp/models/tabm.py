"""TabM, many multilayer perceptrons for tables that share most of their parameters (Gorishniy et al. 2025)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from exp.models.activations import make_activation
from exp.models.feature_embedding import layer_widths, make_feature_embedding
from exp.models.member_layers import MemberLinear, MemberScale, draw_uniform
from exp.models.members import MemberModel


class TabM(MemberModel):
    """k multilayer perceptrons with shared weights; each has a random scale of its own for each input.

    Numbers may be embedded first, in the same way for all members. Each member has its own output layer.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: Activation after each hidden layer, a key of ACTIVATIONS.
        dropout: Probability of dropping a hidden unit, applied after its activation.
        k: Number of members.
        kind: `mini`: the members share the hidden layers; `full`: each also scales the inputs and outputs of each
            hidden layer, and has its own biases.
        embedding: How numbers are embedded, a key of NUMBER_EMBEDDINGS; None or none: they are not.
        category_dim: Values for each embedded category; None: 8.
        cardinalities: What each input is, as in FeatureEmbedding; empty: all are numbers.
        columns: For each input the number of its column: the categories of a column have the same initial scale.
        output_meaning: What an output means to the loss: classes, logit, probability or value.

    Raises:
        ValueError: The activation, the embedding or `kind` is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] = (128, 128),
        activation: str = "relu",
        dropout: float = 0.0,
        k: int = 16,
        kind: str = "mini",
        embedding: str | None = None,
        category_dim: int | None = None,
        cardinalities: Sequence[int] = (),
        columns: Sequence[int] = (),
        output_meaning: str = "value",
    ) -> None:
        super().__init__(k, output_meaning)
        if kind not in ("mini", "full"):
            raise ValueError(f"kind must be one of mini, full, not {kind!r}")
        self.features = make_feature_embedding(in_features, cardinalities, embedding, category_dim)
        widths = layer_widths(in_features, self.features, hidden)
        self.layers = nn.Sequential(MemberScale(k, widths[0]))
        for before, after in pairwise(widths):
            if kind == "mini":
                self.layers.append(nn.Linear(before, after))
            else:
                if len(self.layers) > 1:
                    self.layers.append(MemberScale(k, before))
                self.layers.append(nn.Linear(before, after, bias=False))
                self.layers.append(MemberScale(k, after, draw_uniform((after,), before)))
            self.layers.append(make_activation("activation", activation))
            if dropout:
                self.layers.append(nn.Dropout(dropout))
        self.layers.append(MemberLinear(k, widths[-1], out_features))
        self._draw_scales(cardinalities or [0] * in_features, columns or range(in_features))

    def compute_members(self, x: Tensor) -> Tensor:
        if self.features is not None:
            x = self.features(x)
        return self.layers(x.unsqueeze(1))

    def initialize(self, x: Tensor) -> None:
        """Fit the embedding to rows [N, in_features] of training."""
        if self.features is not None:
            self.features.initialize(x)

    @torch.no_grad()
    def _draw_scales(self, cardinalities: Sequence[int], columns: Sequence[int]) -> None:
        """Draw the first scales, one for each member and number or column of categories.

        They are normal if numbers are embedded, otherwise 1 or -1.
        """
        is_number = torch.tensor(cardinalities) == 0
        features = len(is_number)
        drawn_for = torch.where(is_number, torch.arange(features), features + torch.tensor(columns))
        if self.features is not None:
            drawn_for = drawn_for[self.features.sources]
        shape = (self.members, 2 * features)
        is_normal = self.features is not None and self.features.embed is not None and bool(is_number.any())
        drawn = torch.randn(shape) if is_normal else torch.randint(2, shape) * 2.0 - 1
        scale = self.layers[0].scale
        assert isinstance(scale, nn.Parameter)
        scale.copy_(drawn[:, drawn_for])
