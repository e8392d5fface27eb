"""Reuse datasets, and models with their recorded steps, between the jobs of one worker process."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from exp.config.allowlist import origin
from exp.config.schema import Config
from exp.config.user_code import has_user_code
from exp.data.dataset import Dataset
from exp.data.seeding import is_drawn_from, stream_positions
from exp.data.splits import Splits
from exp.engine.pieces import Pieces
from exp.engine.recorded_step import RecordedSteps

# Entries of each kind; a sweep over more shapes captures some of its steps again.
_MAX_ENTRIES = 8


@dataclass(frozen=True)
class ModelToTrain:
    """A model with the recorded steps that hold references to its tensors."""

    model: nn.Module
    recorded: RecordedSteps


class JobCache:
    """What the jobs of one process share. A model belongs to the job that took it last; its earlier jobs are over."""

    def __init__(self) -> None:
        self._datasets: OrderedDict[str, Dataset] = OrderedDict()
        self._splits: OrderedDict[str, Splits] = OrderedDict()
        self._models: OrderedDict[str, ModelToTrain] = OrderedDict()

    def reuse_dataset(self, node: dict[str, Any], load: Callable[[], Dataset]) -> Dataset:
        """Return the dataset of an earlier job with the same config `node`, or else that of `load()`."""
        key = _key(node)
        if key in self._datasets:
            return self._datasets[key]
        before = stream_positions()
        dataset = load()
        is_random = is_drawn_from(before)  # it differs with the seed
        if _is_reusable(node) and "path" not in node and not is_random:  # a file may change
            _add(self._datasets, key, dataset)
        return dataset

    def reuse_splits(self, config: Config, choices: object, dataset: Dataset, prepare: Callable[[], Splits]) -> Splits:
        """Return the splits that an earlier job made of the same dataset, or else those of `prepare()`.

        Args:
            choices: What the splits depend on besides the dataset.
        """
        key = _key([config.dataset, repr(choices)])
        # Code of the user's may write into its rows.
        if has_user_code(config) or self._datasets.get(_key(config.dataset)) is not dataset:
            return prepare()
        if key not in self._splits:
            _add(self._splits, key, prepare())
        return self._splits[key]

    def reuse_model(
        self, config: Config, passed: Mapping[str, Any], model: nn.Module, criterion: nn.Module, pieces: Pieces | None
    ) -> ModelToTrain:
        """Return the model to train in place of `model`, with its recorded steps.

        If a job with an equal model, loss and engine was trained before, this is that job's model, with the state of
        `model` copied into it and without gradients, because recorded steps hold references to its tensors. Otherwise
        it is `model` itself. Classes of the user's own packages are never reused.

        Args:
            passed: The arguments of the model that are not in the config.
            model: The model just built from `config`; discard it after the call.
            criterion: The loss just built from `config`.
            pieces: How the batches are cut.
        """
        if not _is_reusable(config.model) or not _is_reusable(config.loss) or criterion.state_dict():
            return ModelToTrain(model, RecordedSteps())
        shapes = [(name, *tensor.shape, str(tensor.device)) for name, tensor in model.state_dict().items()]
        of_step = [config.engine, config.clip_grad_norm, config.precision, config.compile, pieces and pieces.rows]
        key = _key([config.model, passed, config.loss, repr(criterion), of_step, shapes])
        if key not in self._models:
            _add(self._models, key, ModelToTrain(model, RecordedSteps()))
            return self._models[key]
        reused = self._models[key]
        reused.model.load_state_dict(model.state_dict())
        for parameter in reused.model.parameters():
            parameter.grad = None
        return reused


def _key(content: object) -> str:
    return json.dumps(content, sort_keys=True, default=str)


def _is_reusable(node: dict[str, Any]) -> bool:
    # A user's own functions may return something else each time, and a user's own modules may have hidden state.
    return origin(node.get("_target_")) != "user"


def _add(entries: OrderedDict[str, Any], key: str, value: object) -> None:
    entries[key] = value
    if len(entries) > _MAX_ENTRIES:
        entries.popitem(last=False)
