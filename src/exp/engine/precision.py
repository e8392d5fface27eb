"""How a model computes its outputs: in the type of its parameters, or in a narrower one by torch.autocast."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from exp.config.user_code import place_of_class
from exp.errors import ConfigError


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
        """Return the model's outputs [B, ...]; with autocast as float32, so that the loss is computed in float32.

        Raises:
            ConfigError: They are no tensor.
        """
        if self.dtype is None:
            return _as_tensor(model, model(x))
        with torch.autocast(self.device_type, self.dtype):
            outputs = model(x)
        return _as_tensor(model, outputs).float()


def _as_tensor(model: nn.Module, outputs: Any) -> Tensor:
    """Return the outputs. ConfigError if they are something else than a tensor."""
    if isinstance(outputs, Tensor):
        base = outputs if outputs._base is None else outputs._base  # pyright: ignore[reportPrivateUsage]
        # The outputs of all steps are kept, and an update would change those that show a parameter.
        return outputs.clone() if base.is_leaf and base.requires_grad else outputs
    kind = type(model)
    returned = "None" if outputs is None else f"a {type(outputs).__name__}"
    raise ConfigError(
        f"model: {kind.__name__} returns {returned}, and a tensor [rows, out_features] is needed{place_of_class(kind)}",
        "a model that returns only this tensor",
        key="model",
    )
