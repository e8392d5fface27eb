"""A multilayer perceptron: linear layers with an activation between them."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from exp.models.activations import make_activation
from exp.models.feature_embedding import FeatureEmbedding, layer_widths, make_feature_embedding

NORMS: dict[str, type[nn.BatchNorm1d] | type[nn.LayerNorm]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class Residual(nn.Sequential):
    """The sum of the input and of what the layers make of it."""

    def forward(self, input: Tensor) -> Tensor:
        output = input
        for layer in self:
            output = layer(output)
        return input + output


class MLP(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features]. Layers are initialized from input to output.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: Activation after each hidden layer, a key of ACTIVATIONS.
        output_activation: Activation after the last layer; None: linear (logits, or values of a regression).
        dropout: Probability of dropping a hidden unit, applied after its activation.
        norm: Normalisation before each activation, a key of NORMS; None: no normalisation.
        residual: Whether a hidden layer as wide as the one before it is added to its input.
        embedding: How numbers are embedded first, a key of NUMBER_EMBEDDINGS; None or none: they are not.
        category_dim: Values for each embedded category; None: 8.
        cardinalities: What each input is, as in FeatureEmbedding; empty: all are numbers.

    Raises:
        ValueError: An activation, the norm or the embedding is unknown, or no layer can be `residual`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] = (10,),
        activation: str = "relu",
        output_activation: str | None = None,
        dropout: float = 0.0,
        norm: str | None = None,
        residual: bool = False,
        embedding: str | None = None,
        category_dim: int | None = None,
        cardinalities: Sequence[int] = (),
    ) -> None:
        if norm is not None and norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {norm!r}")
        features = make_feature_embedding(in_features, cardinalities, embedding, category_dim)
        widths = layer_widths(in_features, features, hidden)
        if residual and all(before != after for before, after in pairwise(widths[1:])):
            raise ValueError(f"residual needs a layer as wide as the one before it, got widths {widths[1:]}")
        layers: list[nn.Module] = [] if features is None else [features]
        for number, (before, after) in enumerate(pairwise(widths)):
            block: list[nn.Module] = [nn.Linear(before, after)]
            if norm is not None:
                block.append(NORMS[norm](after))
            block.append(make_activation("activation", activation))
            if dropout:
                block.append(nn.Dropout(dropout))
            layers += [Residual(*block)] if residual and number and before == after else block
        layers.append(nn.Linear(widths[-1], out_features))
        if output_activation is not None:
            layers.append(make_activation("output_activation", output_activation))
        super().__init__(*layers)

    def initialize(self, x: Tensor) -> None:
        """Fit the embedding to rows [N, in_features] of training, if there is one."""
        first = self[0]
        if isinstance(first, FeatureEmbedding):
            first.initialize(x)
