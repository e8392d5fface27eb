"""The first layer of a model of tables: numbers and categories are embedded, other features stay as they are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from exp.models.number_embeddings import NUMBER_EMBEDDINGS, Piecewise


class FeatureEmbedding(nn.Module):
    """Outputs [B, width] for features [B, F]: the numbers, the features of 0 and 1, then the embedded categories.

    Args:
        cardinalities: For each of the F features 0 if it is a number, 1 if it is one of 0 and 1, and n if it is one of
            the categories 0 to n - 1, of which the last one stands for unknown categories and is embedded as zeros.
        embedding: How numbers are embedded, a key of NUMBER_EMBEDDINGS; None or none: they stay as they are.
        category_dim: Values for each category.

    Raises:
        ValueError: The embedding is unknown.
    """

    numbers: Tensor
    others: Tensor
    categories: Tensor

    def __init__(self, cardinalities: Sequence[int], embedding: str | None, category_dim: int) -> None:
        super().__init__()
        if embedding not in (None, "none", *NUMBER_EMBEDDINGS):
            raise ValueError(f"embedding must be one of none, {', '.join(NUMBER_EMBEDDINGS)}, not {embedding!r}")
        sizes = torch.tensor(cardinalities)
        for name, mask in (("numbers", sizes == 0), ("others", sizes == 1), ("categories", sizes > 1)):
            self.register_buffer(name, mask.nonzero().flatten(), persistent=False)
        self.embed = NUMBER_EMBEDDINGS[embedding](len(self.numbers)) if embedding in NUMBER_EMBEDDINGS else None
        self.tables = nn.ModuleList(nn.Embedding(n, category_dim, padding_idx=n - 1) for n in cardinalities if n > 1)
        dim = 1 if self.embed is None else self.embed.dim
        # The feature of each output.
        self.sources = torch.cat(
            [self.numbers.repeat_interleave(dim), self.others, self.categories.repeat_interleave(category_dim)]
        )
        self.width = len(self.sources)

    def forward(self, x: Tensor) -> Tensor:
        numbers = x.index_select(1, self.numbers)
        parts = [numbers if self.embed is None else self.embed(numbers).flatten(1), x.index_select(1, self.others)]
        codes = x.index_select(1, self.categories).long()
        parts += [table(codes[:, column]) for column, table in enumerate(self.tables)]
        return torch.cat(parts, dim=1)

    def initialize(self, x: Tensor) -> None:
        """Fit the embedding of numbers to rows [N, F] of training."""
        if isinstance(self.embed, Piecewise):
            self.embed.initialize(x[:, self.numbers])


def make_feature_embedding(
    in_features: int, cardinalities: Sequence[int], embedding: str | None, category_dim: int | None
) -> FeatureEmbedding | None:
    """Return a FeatureEmbedding for these arguments; None if it would leave every feature as it is.

    Without `cardinalities`, all features are numbers.
    """
    cardinalities = cardinalities or (0,) * in_features
    if embedding in (None, "none") and max(cardinalities, default=0) <= 1:
        return None
    return FeatureEmbedding(cardinalities, embedding, category_dim or 8)


def layer_widths(in_features: int, features: FeatureEmbedding | None, hidden: int | Sequence[int]) -> list[int]:
    """Return the width of what the first layer gets, and of each hidden layer."""
    first = in_features if features is None else features.width
    return [first, *([hidden] if isinstance(hidden, int) else hidden)]
