"""Build the model of a run for its features and outputs."""

from typing import Any

from torch import nn

from exp.config.instantiate import instantiate
from exp.config.schema import Config
from exp.data.preprocessing import Preprocessing
from exp.data.splits import Split


def build_model(config: Config, preprocessing: Preprocessing, outputs: int, steps: int = 1) -> nn.Module:
    """Return the model, on the CPU, with parameters drawn from torch's random stream.

    Args:
        outputs: The number of outputs that the loss needs.
        steps: The number of steps of training.
    """
    return instantiate("model", config.model, **model_arguments(preprocessing, outputs, steps))


def model_arguments(preprocessing: Preprocessing, outputs: int, steps: int) -> dict[str, Any]:
    """Return the arguments that every model gets, and those of some models: GIVEN and GIVEN_IF_ACCEPTED of a config."""
    return {
        "in_features": len(preprocessing.features),
        "out_features": outputs,
        "cardinalities": preprocessing.cardinalities,
        "steps": steps,
    }


def fit_initial(model: nn.Module, train: Split) -> None:
    """Fit the initial parameters to the training rows, if the model has a method `initialize(x)`."""
    initialize = getattr(model, "initialize", None)
    if callable(initialize):
        initialize(train.x)
