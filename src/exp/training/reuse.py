"""Reuse datasets, and models with their recorded steps, between the jobs of one worker process."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from exp.config.allowlist import READ_BY_EXP, origin
from exp.config.schema import Config
from exp.config.user_code import has_user_code
from exp.data.dataset import Dataset
from exp.data.input_files import identify
from exp.data.seeding import is_drawn_from, stream_positions
from exp.data.splits import Splits
from exp.data.storage import has_held_rows, list_files
from exp.engine.pieces import Pieces
from exp.engine.recorded_step import RecordedSteps

T = TypeVar("T")

# Models that are kept; a sweep over more shapes captures some of its steps again.
_MAX_MODELS = 8

# Datasets that are kept, and splits, and the bytes of either. To train on more rows takes far longer than to read them.
_MAX_DATASETS, _MAX_BYTES = 64, 2**27


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
        """Return the dataset of an earlier job with the same rows, or else that of `load()`.

        Rows in a table or in arrays are loaded again if a file has changed.

        Args:
            node: The dataset of the config.
        """
        files = list_files(node)
        loaded_by = {name: value for name, value in node.items() if name not in READ_BY_EXP["dataset"]}
        key = _key([loaded_by, [(file, identify(file)) for file in files]])
        if key in self._datasets:
            return self._datasets[key]
        before = stream_positions()
        dataset = load()
        is_random = is_drawn_from(before)  # it differs with the seed
        has_known_rows = bool(files) or "path" not in node or has_held_rows(node)
        if _is_reusable(node) and has_known_rows and not is_random:
            self._datasets[key] = dataset
            _drop_oldest(self._datasets, _MAX_DATASETS, _bytes_of_dataset)
        return dataset

    def reuse_splits(self, config: Config, choices: object, dataset: Dataset, prepare: Callable[[], Splits]) -> Splits:
        """Return the splits that an earlier job made of the same dataset, or else those of `prepare()`.

        Args:
            choices: What the splits depend on besides the dataset.
        """
        found = next((key for key, one in self._datasets.items() if one is dataset), None)
        if found is None or has_user_code(config):  # code of the user's may write into its rows
            return prepare()
        key = _key([found, repr(choices)])
        splits = self._splits[key] = self._splits.get(key) or prepare()
        _drop_oldest(self._splits, _MAX_DATASETS, _bytes_of_splits)
        return splits

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
            self._models[key] = ModelToTrain(model, RecordedSteps())
            _drop_oldest(self._models, _MAX_MODELS)
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


def _bytes_of_dataset(dataset: Dataset) -> int:
    return dataset.x.nbytes + dataset.y.nbytes


def _bytes_of_splits(splits: Splits) -> int:
    different = {id(split): split for split in (splits.train, splits.val, splits.test)}.values()
    return sum(split.x.nbytes + split.y.nbytes for split in different)


def _drop_oldest(entries: OrderedDict[str, T], most: int, bytes_of: Callable[[T], int] = lambda _: 0) -> None:
    """Drop the oldest entries, if need be all, until the others are within the limits."""
    while len(entries) > most or sum(map(bytes_of, entries.values())) > _MAX_BYTES:
        entries.popitem(last=False)
