"""Replace each `auto` of a config by the value that the data decide."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exp.config.by_target import GROUPS, choose_by_target
from exp.config.limits import parse_at_most
from exp.config.metric_names import is_higher_better
from exp.config.overrides import override_key
from exp.config.schema import Config, restores_best
from exp.config.target_kind import TargetKind
from exp.data.preprocessing import Preprocessing
from exp.data.splits import Splits

# By the kind of the target: the option of conf/loss that loss=auto stands for, and its node.
_LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "classes": ("cross_entropy", {"_target_": "torch.nn.CrossEntropyLoss", "output": "classes"}),
    "labels": ("bce_with_logits", {"_target_": "torch.nn.BCEWithLogitsLoss", "output": "logit"}),
    "numbers": ("mse", {"_target_": "torch.nn.MSELoss", "output": "value"}),
}


# Arguments of loss=auto that only the loss of classes has.
_OF_CLASSES = ("label_smoothing",)


# Batch size for fewer training rows than the first number; _LARGEST_BATCH for more.
_BATCH_SIZES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256), (108_000, 512))
_LARGEST_BATCH = 1024


# Numbers above which model.embedding=auto embeds none: a step of training would take several times as long.
_MANY_NUMBERS = 100


# Updates that epochs=auto aims at, and the limits of the epochs.
_STEPS = 4_000


_MIN_EPOCHS, _MAX_EPOCHS = 10, 200


def decide(config: Config, data: Splits) -> Config:
    """Return the config without `auto` in the keys that the data decide."""
    rows = len(data.train)
    batching = replace(config.batching, batch_size=_choose_batch_size(config.batching.batch_size, rows))
    epochs = _choose_epochs(rows, batching.batch_size) if config.epochs == "auto" else config.epochs
    stopping = config.early_stopping
    stopping = replace(stopping, restore_best=restores_best(stopping.restore_best, stopping.patience))
    if not len(data.val):
        stopping = replace(stopping, patience=None, restore_best=False)
    dataset = dict(config.dataset)
    if dataset.get("scale_target") == "auto":
        dataset["scale_target"] = data.preprocessing.target_scale is not None
    config = decide_embedding(decide_by_target(config, data.preprocessing.target_kind), data.preprocessing)
    scheduler = config.scheduler
    if str(scheduler.get("_target_")).endswith(".ReduceLROnPlateau") and is_higher_better(config.metric):
        scheduler = {"mode": "max", **scheduler}
    decided = replace(config, dataset=dataset, early_stopping=stopping, batching=batching, epochs=epochs)
    return replace(decided, scheduler=scheduler)


def decide_by_target(config: Config, target: TargetKind) -> Config:
    """Return the config with the model, the loss and what trains it for a target of that kind.

    loss=auto is cross-entropy for classes, binary cross-entropy for labels, and mean squared error for numbers.
    """
    nodes = {group: choose_by_target(getattr(config, group), target.is_categorical) for group in GROUPS}
    loss = nodes["loss"]
    if loss["_target_"] == "auto":
        arguments = {key: value for key, value in loss.items() if key not in _OF_CLASSES or target.kind == "classes"}
        nodes["loss"] = {**arguments, **_LOSSES[target.kind][1]}
    return replace(config, **nodes)


def decide_embedding(config: Config, preprocessing: Preprocessing) -> Config:
    """Return the config with model.embedding=auto replaced: piecewise for at most 100 numbers, else null."""
    if config.model.get("embedding") != "auto":
        return config
    numbers = sum(size == 0 for size in preprocessing.cardinalities)
    embedding = "piecewise" if 0 < numbers <= _MANY_NUMBERS else None
    return replace(config, model={**config.model, "embedding": embedding})


def list_decided(typed: Config, resolved: Config) -> dict[str, Any]:
    """Return the keys that were `auto`, with what was decided; the loss by its option's name."""
    pairs = {
        "epochs": (typed.epochs, resolved.epochs),
        "batching.batch_size": (typed.batching.batch_size, resolved.batching.batch_size),
        "model.embedding": (typed.model.get("embedding"), resolved.model.get("embedding")),
        "dataset.scale_target": (typed.dataset.get("scale_target"), resolved.dataset.get("scale_target")),
    }
    if typed.loss["_target_"] == "auto":
        options = {node["_target_"]: option for option, node in _LOSSES.values()}
        pairs["loss"] = ("auto", options.get(resolved.loss["_target_"]))
    return {key: decided for key, (value, decided) in pairs.items() if value == "auto" or parse_at_most(value)}


def list_unused(typed: Config, resolved: Config, overrides: Sequence[str]) -> list[str]:
    """Return notes on the typed arguments of loss=auto that the loss of this target does not have."""
    unused = [f"loss.{key}" for key in _OF_CLASSES if key in typed.loss and key not in resolved.loss]
    typed_keys = {*map(override_key, overrides)}
    return [f"{key} has no effect: the target has no classes" for key in unused if key in typed_keys]


def list_undecided(typed: Config, overrides: Sequence[str]) -> list[str]:
    """Return notes on what would decide by the validation rows, for a run without any.

    Early stopping is among them if it was typed: the options for the user's data have it by default.
    """
    stopping, typed_keys = typed.early_stopping, {*map(override_key, overrides)}
    chosen = [f"metric={typed.metric}"] if typed.metric != "loss" else []
    if stopping.patience is not None and "early_stopping.patience" in typed_keys:
        chosen.append(f"early_stopping.patience={stopping.patience}")
    if stopping.restore_best is True and "early_stopping.restore_best" in typed_keys:
        chosen.append("early_stopping.restore_best=true")
    return [f"{one} decides nothing, because there are no validation rows" for one in chosen]


def _choose_batch_size(batch_size: Any, rows: int) -> Any:
    if (limit := parse_at_most(batch_size)) is not None:
        return min(limit, rows)
    if batch_size != "auto":
        return batch_size
    size = next((size for limit, size in _BATCH_SIZES if rows < limit), _LARGEST_BATCH)
    return min(size, rows)


def _choose_epochs(rows: int, batch_size: int | None) -> int:
    """Return the epochs that make about _STEPS updates, within the limits."""
    steps_per_epoch = -(-rows // (batch_size or rows))
    return min(_MAX_EPOCHS, max(_MIN_EPOCHS, round(_STEPS / steps_per_epoch)))
