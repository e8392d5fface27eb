"""What the runs of one process can share: the rows they read, and the recordings of models of the same shapes."""

import json
from collections import OrderedDict
from typing import Any

from torch import nn

from exp.config.schema import Config
from exp.data.dataset import Dataset
from exp.engine.codegen import CompiledSteps

# A user's own functions and modules may give something else every time, or keep state that nobody sees.
_REUSABLE_PACKAGES = ("exp.", "torch.", "sklearn.")


# Kept of each kind; a sweep over more shapes than this pays for their recordings again.
_MAX_ENTRIES = 8


class JobCache:
    """Of a worker's earlier jobs, what a later one would make again. A job takes a model as its own until the next."""

    def __init__(self) -> None:
        self._tables: OrderedDict[str, Dataset] = OrderedDict()
        self._models: OrderedDict[str, tuple[nn.Module, CompiledSteps]] = OrderedDict()

    def dataset(self, node: dict[str, Any]) -> Dataset | None:
        """The rows that this dataset's function gave before."""
        return self._tables.get(_key(node))

    def add_dataset(self, node: dict[str, Any], table: Dataset) -> None:
        if _is_known(node) and "path" not in node:  # a file may change
            _keep(self._tables, _key(node), table)

    def model(self, config: Config, model: nn.Module, criterion: nn.Module) -> tuple[nn.Module, CompiledSteps]:
        """A model with the parameters of `model`, just built, and what was recorded with it before.

        One on which an equal config was trained takes over the new one's parameters; else it is `model` itself.
        """
        shapes = [(name, *tensor.shape, str(tensor.device)) for name, tensor in model.state_dict().items()]
        key = _key([config.model, config.loss, config.clip_grad_norm, shapes])
        if not _is_known(config.model) or not _is_known(config.loss) or criterion.state_dict():
            return model, CompiledSteps()
        if key not in self._models:
            _keep(self._models, key, (model, CompiledSteps()))
            return self._models[key]
        known, recordings = self._models[key]
        known.load_state_dict(model.state_dict())
        for parameter in known.parameters():
            parameter.grad = None
        return known, recordings


def _key(content: object) -> str:
    return json.dumps(content, sort_keys=True, default=str)


def _is_known(node: dict[str, Any]) -> bool:
    return str(node.get("_target_")).startswith(_REUSABLE_PACKAGES)


def _keep(kept: OrderedDict[str, Any], key: str, value: object) -> None:
    kept[key] = value
    if len(kept) > _MAX_ENTRIES:
        kept.popitem(last=False)
