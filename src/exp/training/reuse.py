"""Reuse datasets, and models with their recorded steps, between the jobs of one worker process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from torch import nn

from exp.config.allowlist import origin, without_own_keys
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


class _Latest(Generic[T]):
    """The latest values by their keys: at most `most` of them, of at most _MAX_BYTES together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[str, tuple[T, int]] = {}  # values and their bytes, the oldest first
        self._bytes = 0

    def get(self, key: str) -> T | None:
        value, _ = self._entries.get(key, (None, 0))
        return value

    def find_key(self, value: T) -> str | None:
        return next((key for key, (other, _) in self._entries.items() if other is value), None)

    def add(self, key: str, value: T, size: int = 0) -> None:
        """Add a value of so many bytes; drop the oldest ones, and itself if it is too large."""
        self._entries[key] = value, size
        self._bytes += size
        while len(self._entries) > self._most or self._bytes > _MAX_BYTES:
            _, dropped = self._entries.pop(next(iter(self._entries)))
            self._bytes -= dropped


@dataclass(frozen=True)
class ModelToTrain:
    """A model with the recorded steps that hold references to its tensors."""

    model: nn.Module
    recorded: RecordedSteps


class JobCache:
    """What the jobs of one process share. A model belongs to the job that took it last; its earlier jobs are over."""

    def __init__(self) -> None:
        self._datasets = _Latest[Dataset](_MAX_DATASETS)
        self._splits = _Latest[Splits](_MAX_DATASETS)
        self._models = _Latest[ModelToTrain](_MAX_MODELS)

    def reuse_dataset(self, node: dict[str, Any], load: Callable[[], Dataset]) -> Dataset:
        """Return the dataset of an earlier job with the same rows, or else that of `load()`.

        Rows in files are loaded again if one of them has changed.

        Args:
            node: The dataset of the config.
        """
        files = list_files(node)
        key = _key(
            [
                without_own_keys("dataset", node),
                sha256(repr([(file, identify(file)) for file in files]).encode()).hexdigest(),
            ]
        )
        if (known := self._datasets.get(key)) is not None:
            return known
        before = stream_positions()
        dataset = load()
        is_random = is_drawn_from(before)  # it differs with the seed
        has_known_rows = bool(files) or "path" not in node or has_held_rows(node)
        if _is_reusable(node) and has_known_rows and not is_random:
            self._datasets.add(key, dataset, dataset.x.nbytes + dataset.y.nbytes)
        return dataset

    def reuse_splits(self, config: Config, choices: object, dataset: Dataset, prepare: Callable[[], Splits]) -> Splits:
        """Return the splits that an earlier job made of the same dataset, or else those of `prepare()`.

        Args:
            choices: What the splits depend on besides the dataset.
        """
        found = self._datasets.find_key(dataset)
        if found is None or has_user_code(config):  # code of the user's may write into its rows
            return prepare()
        key = _key([found, repr(choices)])
        if (splits := self._splits.get(key)) is None:
            splits = prepare()
            different = {id(split): split for split in (splits.train, splits.val, splits.test)}.values()
            self._splits.add(key, splits, sum(split.x.nbytes + split.y.nbytes for split in different))
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
        if (reused := self._models.get(key)) is None:
            new = ModelToTrain(model, RecordedSteps())
            self._models.add(key, new)
            return new
        reused.model.load_state_dict(model.state_dict())
        for parameter in reused.model.parameters():
            parameter.grad = None
        return reused


def _key(content: object) -> str:
    return json.dumps(content, sort_keys=True, default=str)


def _is_reusable(node: dict[str, Any]) -> bool:
    # A user's own functions may return something else each time, and a user's own modules may have hidden state.
    return origin(node.get("_target_")) != "user"
