"""Dropout whose probability falls to 0 at the end of training."""

import math

import torch
from torch import Tensor, nn


class ScheduledDropout(nn.Module):
    """Dropout with probability p for the first half of `steps` forward passes in training, then p times a cosine to 0.

    Every pass counts one step, also in a resumed run: the count is a buffer.
    """

    def __init__(self, p: float, steps: int) -> None:
        super().__init__()
        self.p, self.steps = p, steps
        self.register_buffer("step", torch.zeros(()))
        self.step: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        half = (self.step / self.steps * 2 - 1).clamp(0, 1)
        p = (torch.cos(half * math.pi) + 1) * (self.p / 2)
        self.step.add_(1)
        return x * (torch.rand_like(x) >= p) / (1 - p)
