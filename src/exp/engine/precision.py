"""How a model computes its outputs: in the type of its parameters, or in a narrower one by torch.autocast."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Precision:
    """How a model computes. Parameters, gradients, outputs, loss and metrics are float32 in every precision.

    Args:
        device_type: The type of the device that the model is on.
        dtype: The type that autocast computes in; None: no autocast.
    """

    device_type: str = "cpu"
    dtype: torch.dtype | None = None

    def compute_outputs(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return the model's outputs [B, ...]; with autocast as float32, so that the loss is computed in float32."""
        if self.dtype is None:
            return model(x)
        with torch.autocast(self.device_type, self.dtype):
            outputs: Tensor = model(x)
        return outputs.float()
