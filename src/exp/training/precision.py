"""precision=fp32|tf32|bf16|fp16: which types a run computes in, and how far its losses are from those of fp32."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from exp.engine.optimizers import needs_closure
from exp.engine.precision import Precision
from exp.errors import ConfigError
from exp.training.weights import without_weights

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


# What the first lines of a run say. tests/training/test_precision.py tests the bounds.
_DESCRIPTIONS = {
    "tf32": "tf32: matrix products round their factors to 11 bits; "
    "the loss of a step differs from that of fp32 by up to 0.5 %",
    "bf16": "bf16: the model computes in bfloat16 (autocast), the loss and the parameters are float32; "
    "the loss of a step differs from that of fp32 by up to 4 %",
    "fp16": "fp16: the model computes in float16 (autocast), the loss and the parameters are float32; "
    "the loss of a step differs from that of fp32 by up to 0.5 %",
}


# Read before it is ever set, so that a job of a sweep does not inherit the choice of the job before it.
_DEFAULT_MATMUL = torch.get_float32_matmul_precision()


def select_precision(name: str, device: torch.device) -> Precision:
    """Return the precision of that name. For all of the process, TF32 is used from now on if it is `tf32`.

    Raises:
        ConfigError: The device has no TF32.
    """
    if name == "tf32" and device.type != "cuda":
        raise ConfigError(
            f"precision=tf32 needs an NVIDIA GPU, and this run computes on {device}", "precision=bf16", key="precision"
        )
    torch.set_float32_matmul_precision("high" if name == "tf32" else _DEFAULT_MATMUL)
    return Precision(device.type, _TYPES.get(name))


def make_scaler(precision: Precision, optimizer: Optimizer) -> GradScaler | None:
    """Return what scales the loss of float16; None for other types, whose small gradients do not become 0.

    Raises:
        ConfigError: The optimizer computes gradients several times a step, which a GradScaler does not allow.
    """
    if precision.dtype is not torch.float16:
        return None
    if needs_closure(type(optimizer)):
        raise ConfigError(
            f"precision=fp16: {type(optimizer).__name__} computes gradients several times a step, and each would need "
            "its own scale",
            "precision=bf16",
            key="precision",
            override="precision=bf16",
        )
    return GradScaler(precision.device_type)


def check_loss(name: str, criterion: nn.Module) -> None:
    """Raise ConfigError if the loss takes probabilities, which a model in that precision rounds to 0 or 1."""
    inner = without_weights(criterion)
    if name not in _TYPES or not isinstance(inner, nn.BCELoss | nn.NLLLoss):
        return
    other = "bce_with_logits" if isinstance(inner, nn.BCELoss) else "cross_entropy"
    raise ConfigError(
        f"precision={name}: {type(inner).__name__} takes probabilities of the model, which would be rounded to "
        f"{8 if name == 'bf16' else 11} bits",
        f"loss={other} with a model that returns logits, or precision=fp32",
        key="precision",
    )


def describe_precision(name: str) -> Mapping[str, Any]:
    """Return the line that says what the precision gives up; empty for fp32."""
    return {"precision": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else {}
