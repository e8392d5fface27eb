"""The first layer of a model of tables: numbers are embedded, other features stay as they are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from exp.models.number_embeddings import NUMBER_EMBEDDINGS, Piecewise


class FeatureEmbedding(nn.Module):
    """Outputs [B, width] for features [B, F]: the embeddings of the numbers, then the other features.

    Args:
        cardinalities: For each of the F features 0 if it is a number, 1 if it is one of 0 and 1.
        embedding: How numbers are embedded, a key of NUMBER_EMBEDDINGS.

    Raises:
        ValueError: The embedding is unknown.
    """

    numbers: Tensor
    others: Tensor

    def __init__(self, cardinalities: Sequence[int], embedding: str) -> None:
        super().__init__()
        if embedding not in NUMBER_EMBEDDINGS:
            raise ValueError(f"embedding must be one of none, {', '.join(NUMBER_EMBEDDINGS)}, not {embedding!r}")
        is_number = torch.tensor(cardinalities) == 0
        self.register_buffer("numbers", is_number.nonzero().flatten(), persistent=False)
        self.register_buffer("others", (~is_number).nonzero().flatten(), persistent=False)
        self.embed = NUMBER_EMBEDDINGS[embedding](len(self.numbers))
        self.width = len(self.numbers) * self.embed.dim + len(self.others)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embed(x.index_select(1, self.numbers)).flatten(1)
        return torch.cat([embedded, x.index_select(1, self.others)], dim=1)

    def initialize(self, x: Tensor) -> None:
        """Fit the embedding to rows [N, F] of training."""
        if isinstance(self.embed, Piecewise):
            self.embed.initialize(x[:, self.numbers])
