"""A linear layer in the neural tangent parametrisation, whose weights have deviation 1."""

import math

import torch
from torch import Tensor, nn


class NTKLinear(nn.Module):
    """x W^T / sqrt(in_features) + b for x [B, in_features] (Jacot et al. 2018).

    With Adam, whose steps have the size of the learning rate, a wide layer learns as fast as a narrow one.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.factor = 1 / math.sqrt(max(1, in_features))
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.randn(out_features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight.t(), alpha=self.factor)

    @torch.no_grad()
    def set_to_zero(self) -> None:
        """Make all outputs 0."""
        self.weight.zero_()
        self.bias.zero_()

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Scale the weights so that each output has deviation 1 over x [N, in_features], and place its zero among them.

        The zero of an output is a random average of its values for five rows of x, "he+5" of RealMLP.
        """
        raw = torch.mm(x, self.weight.t()) * self.factor
        deviation = raw.std(0, correction=0)
        self.weight.div_(torch.where(deviation > 0, deviation, 1.0).unsqueeze(1))
        outputs = torch.mm(x, self.weight.t()) * self.factor
        units = torch.arange(outputs.shape[1], device=x.device)
        rows = torch.randint(len(x), (5, outputs.shape[1]), device=x.device)
        shares = torch.empty(rows.shape, device=x.device).exponential_()
        self.bias.copy_(-(outputs[rows, units] * shares / shares.sum(0)).sum(0))
