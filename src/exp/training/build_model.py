"""Build the model of a run for its features and outputs."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from exp.config.allowlist import HELD_MODULE
from exp.config.instantiate import import_target, instantiate, parameters_of, select_accepted
from exp.config.schema import Config
from exp.config.user_code import describe_error
from exp.data.mapped.maps import is_mapped
from exp.data.memory import available_memory
from exp.data.preprocessing import Preprocessing
from exp.data.splits import Split
from exp.errors import ConfigError, as_yaml, format_bytes
from exp.models.held_module import find
from exp.models.number_embeddings import Piecewise
from exp.training.weights import without_weights

# Bytes for a feature of a row while piecewise embeddings find their bins: copies in float32 and twice in float64.
_TO_INITIALIZE = 20


class MissingModuleError(ConfigError):
    """A module that came from Python, and is not in this process.

    Attributes:
        kind: The name of its class.
    """

    def __init__(self, name: str, folder: str | None) -> None:
        self.kind = name.partition(":")[0]
        what = f"model={name}: this module came from Python, as an object, and is in no file"
        call = "train(model={}(...), ...)" if folder is None else f"load({folder!r}, model={{}}(...))"
        super().__init__(what, f"{call.format(self.kind)} in Python", key="model.name")


def check_module(node: Mapping[str, Any], folder: str | None = None) -> None:
    """Raise MissingModuleError if the model that `node` describes came from Python, and is not in this process.

    Args:
        folder: The folder of its run, if there is one.
    """
    if node.get("_target_") == HELD_MODULE and find(str(node.get("name"))) is None:
        raise MissingModuleError(str(node.get("name")), folder)


def build_model(config: Config, passed: Mapping[str, Any]) -> nn.Module:
    """Return the model, on the CPU, with parameters drawn from torch's random stream, and with `model_arguments`.

    Raises:
        ConfigError: It cannot be built, or has parameters without a shape.
    """
    check_module(config.model)
    model: nn.Module = instantiate("model", config.model, **passed)
    lazy = next((name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if is_lazy(tensor)), None)
    if lazy is not None:
        raise ConfigError(
            f"model: {type(model).__name__} has a lazy layer: {lazy} has no shape before the first input",
            "a layer with its sizes, such as nn.Linear(in_features, 8): exp passes in_features to the model",
            key="model",
        )
    return model


def model_arguments(config: Config, preprocessing: Preprocessing, outputs: int, passes: int) -> dict[str, Any]:
    """Return what exp passes to the model: GIVEN always, and GIVEN_IF_ACCEPTED if its signature has it.

    Args:
        outputs: The number of outputs that the loss needs.
        passes: The number of forward passes of training.
    """
    arguments = {
        "in_features": len(preprocessing.features),
        "out_features": outputs,
        "cardinalities": preprocessing.cardinalities,
        "columns": preprocessing.column_numbers,
        "output_meaning": config.loss["output"],
        "steps": passes,
        "shape": preprocessing.shape or (len(preprocessing.features),),
    }
    return select_accepted("model", import_target("model", config.model), arguments)


# Categories above which dataset.encode=auto makes a column one feature, as RealMLP-TD.
_MANY_CATEGORIES = 9


def codes_above(config: Config) -> int | None:
    """Return the number of categories above which a column has one feature, for an embedding; None: never.

    Raises:
        ConfigError: dataset.encode=embedding, and the model has no embedding.
    """
    encode = config.dataset.get("encode", "onehot")
    has_embedding = "cardinalities" in parameters_of(import_target("model", config.model))
    if encode == "embedding" and not has_embedding:
        raise ConfigError(
            f"dataset.encode=embedding: {config.model['_target_']} has no embedding of categories (no argument "
            "cardinalities)",
            "dataset.encode=onehot",
            key="dataset.encode",
            override="dataset.encode=onehot",
        )
    return {"onehot": None, "embedding": 0, "auto": _MANY_CATEGORIES if has_embedding else None}[encode]


def fit_initial(model: nn.Module, train: Split) -> None:
    """Fit the initial parameters to the training rows, if the model has a method `initialize(x)`.

    Raises:
        ConfigError: The method fails, or rows in a mapped file are too large for it.
    """
    initialize = getattr(model, "initialize", None)
    if not callable(initialize):
        return
    is_fitted = any(isinstance(module, Piecewise) for module in model.modules())
    needed, available = train.x.numel() * _TO_INITIALIZE, None
    if is_fitted and is_mapped(train.x):
        available = available_memory()
    if available is not None and needed > available:
        raise ConfigError(
            f"model: {type(model).__name__} fits its embedding to all training rows in memory, which needs "
            f"{format_bytes(needed)}, and {format_bytes(available)} are available",
            "model.embedding=null, or model=mlp",
            key="model.embedding",
            override="model.embedding=null",
        )
    try:
        initialize(train.x)
    except Exception as error:
        what = f"model: {type(model).__name__}.initialize(x) failed: {describe_error(error)}"
        fix = "a method initialize(self, x) that takes the training rows [N, F], or none"
        raise ConfigError(what, fix, key="model") from error


def check_output_activation(config: Config, criterion: nn.Module) -> None:
    """Raise ConfigError if the loss takes probabilities and the model returns logits, or the reverse.

    The outputs of a model without output_activation are checked by `check_output`.
    """
    if "output_activation" not in config.model:
        return
    end, output = config.model["output_activation"], config.loss.get("output")
    name = type(without_weights(criterion)).__name__
    if output == "probability" and end != "sigmoid":
        raise ConfigError(
            f"model.output_activation={as_yaml(end)}: {name} needs probabilities (sigmoid)",
            "model.output_activation=sigmoid, or loss=bce_with_logits",
        )
    if output in ("logit", "classes") and end is not None:
        raise ConfigError(
            f"model.output_activation={end}: {name} needs logits (null)",
            f"model.output_activation=null{', or loss=bce' if output == 'logit' and end == 'sigmoid' else ''}",
        )
