"""Start from the parameters of another run: `init=RUN`."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from exp.data.preprocessing import Preprocessing
from exp.data.splits import Splits
from exp.errors import ConfigError
from exp.models.scheduled_dropout import ScheduledDropout
from exp.training.events import State


def load_initial(model: nn.Module, parameters: Mapping[str, Tensor], init: str) -> None:
    """Copy parameters and buffers into `model`, in place. Schedules of dropout begin anew.

    Args:
        init: The value of init=, for messages.

    Raises:
        ConfigError: A parameter is missing, or has another shape.
    """
    own: Mapping[str, Tensor] = model.state_dict()
    for name in [*own, *(name for name in parameters if name not in own)]:
        ours, theirs = (_shape(tensors.get(name)) for tensors in (own, parameters))
        if ours != theirs:
            raise ConfigError(
                f"init={init}: the models differ, first in {name}: {theirs} there, {ours} here",
                "the model and the features of that run, or no init=",
                key="init",
            )
    with torch.no_grad():
        model.load_state_dict(parameters)
        for module in model.modules():
            if isinstance(module, ScheduledDropout):
                module.step.zero_()


def initial_notes(initial: State, data: Splits) -> Iterator[str]:
    """Yield a note if the features or classes have other names than those the initial parameters were trained for."""
    theirs = Preprocessing.from_json(initial["preprocessing"])
    for what, there, here in (
        ("feature", theirs.features, data.features),
        ("class", theirs.classes or (), data.classes or ()),
    ):
        if (text := _first_difference(there, here)) is not None:
            yield f"init={initial['run']}: {what} {text}"


def _shape(tensor: Tensor | None) -> str:
    return "not present" if tensor is None else str(list(tensor.shape))


def _first_difference(there: Sequence[str], here: Sequence[str]) -> str | None:
    pairs = enumerate(zip(there, here, strict=False), start=1)
    return next((f"{i} was '{old}' there, is '{new}' here" for i, (old, new) in pairs if old != new), None)
