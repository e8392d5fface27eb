"""Recurrent networks for sequences: GRU and LSTM."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """Outputs [B, out_features] for inputs [B, in_features], which are sequences, step by step.

    Each subclass names the class of its recurrent layers, `layer`.

    Args:
        in_features: Number of values of a sequence.
        out_features: Number of outputs.
        hidden: Units of each recurrent layer.
        layers: Number of recurrent layers.
        bidirectional: Whether each layer also reads the sequence backwards, with units of its own.
        dropout: Probability of dropping a unit between two recurrent layers, and before the last layer.
        pooling: What the last, linear layer gets: the state after the last step, or the mean over all steps.
        shape: Shape of a sequence: [T, C] for T steps of C values; [F] is F steps of one value.

    Raises:
        ValueError: The rows are not sequences, or `pooling` is unknown.
    """

    layer: ClassVar[type[nn.GRU] | type[nn.LSTM]]

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pooling: str = "last",
        shape: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if len(shape) > 2:
            error = ValueError(f"the rows must be sequences [T, C], got images of shape {list(shape)}")
            error.add_note("model=cnn")
            raise error
        if pooling not in ("last", "mean"):
            raise ValueError(f"pooling must be one of last, mean, not {pooling!r}")
        self.steps, self.values = (shape[0], shape[1]) if len(shape) == 2 else (in_features, 1)
        self.takes_mean = pooling == "mean"
        self.directions = 2 if bidirectional else 1
        between = dropout if layers > 1 else 0.0
        self.recurrent = self.layer(
            self.values, hidden, layers, batch_first=True, dropout=between, bidirectional=bidirectional
        )
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(hidden * self.directions, out_features)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor
        states, _ = self.recurrent(x.view(-1, self.steps, self.values))  # [B, T, directions * hidden]
        if self.takes_mean:
            pooled = states.mean(1)
        elif self.directions == 1:
            pooled = states[:, -1]
        else:  # the last step of each direction
            forwards, backwards = states.chunk(2, dim=2)
            pooled = torch.cat([forwards[:, -1], backwards[:, 0]], dim=1)
        return self.last(self.dropout(pooled))


class GRU(Recurrent):
    """Gated recurrent units; the arguments are those of Recurrent."""

    layer = nn.GRU


class LSTM(Recurrent):
    """Long short-term memory; the arguments are those of Recurrent."""

    layer = nn.LSTM
