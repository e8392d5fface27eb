"""Layers with parameters for each of k members, for inputs [B, k, in_features]."""

import math

import torch
from torch import Tensor, nn


class MemberScale(nn.Module):
    """x * scale, at first 1, or x * scale + bias; [B, 1, features] is the same input for all members.

    Args:
        bias: The initial bias of each feature, the same for all members; None: no bias.
    """

    bias: nn.Parameter | None

    def __init__(self, k: int, features: int, bias: Tensor | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(k, features))
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.repeat(k, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale if self.bias is None else torch.addcmul(self.bias, x, self.scale)


class MemberLinear(nn.Module):
    """A linear layer for each member, with outputs [B, k, out_features]."""

    def __init__(self, k: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw_uniform((k, in_features, out_features), in_features))
        self.bias = nn.Parameter(draw_uniform((k, out_features), in_features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x.transpose(0, 1), self.weight).transpose(0, 1)


def draw_uniform(shape: tuple[int, ...], in_features: int) -> Tensor:
    """Return initial parameters of a linear layer, between -1/sqrt(in_features) and its opposite, as nn.Linear."""
    return (torch.rand(shape) * 2 - 1) / math.sqrt(max(1, in_features))
