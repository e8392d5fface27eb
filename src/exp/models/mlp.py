"""A multilayer perceptron: linear layers with an activation between them."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from exp.models.activations import make_activation
from exp.models.feature_embedding import FeatureEmbedding


class MLP(nn.Sequential):
    """Outputs [B, out_features] for inputs [B, in_features]. Layers are initialized from input to output.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: Activation after each hidden layer, a key of ACTIVATIONS.
        output_activation: Activation after the last layer; None: linear (logits, or values of a regression).
        dropout: Probability of dropping a hidden unit, applied after its activation.
        embedding: How numbers are embedded first, a key of NUMBER_EMBEDDINGS; None or none: they are not.
        cardinalities: For each input 0 if it is a number, otherwise 1; for `embedding`.

    Raises:
        ValueError: An activation or the embedding is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] = (10,),
        activation: str = "relu",
        output_activation: str | None = None,
        dropout: float = 0.0,
        embedding: str | None = None,
        cardinalities: Sequence[int] = (),
    ) -> None:
        features = None if embedding in (None, "none") else FeatureEmbedding(cardinalities, embedding)
        first = in_features if features is None else features.width
        widths = [first, *([hidden] if isinstance(hidden, int) else hidden)]
        layers: list[nn.Module] = [] if features is None else [features]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), make_activation("activation", activation)]
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(widths[-1], out_features))
        if output_activation is not None:
            layers.append(make_activation("output_activation", output_activation))
        super().__init__(*layers)

    def initialize(self, x: Tensor) -> None:
        """Fit the embedding to rows [N, in_features] of training, if there is one."""
        first = self[0]
        if isinstance(first, FeatureEmbedding):
            first.initialize(x)
