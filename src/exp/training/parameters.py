"""The parameters and buffers of a model, as a checkpoint has them."""

import torch
from torch import nn

from exp.training.events import State

# The entries of a state that `get_parameters` returns.
KEYS = ("model", "buffers")


def get_parameters(model: nn.Module) -> State:
    """Return the model's state dict, and the buffers that it leaves out (persistent=False). The tensors are live."""
    saved = model.state_dict()
    unsaved = {name: buffer for name, buffer in model.named_buffers() if name not in saved}
    return {"model": saved, "buffers": unsaved}


@torch.no_grad()
def set_parameters(model: nn.Module, state: State) -> None:
    """Restore what `get_parameters` returned."""
    model.load_state_dict(state["model"])
    for name, buffer in model.named_buffers():
        if name in state["buffers"]:
            buffer.copy_(state["buffers"][name])
