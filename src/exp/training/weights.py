"""Weights of classes and rows in the loss, which is then sum(w l) / sum(w) over the rows of a batch or split.

A row's weight w is its own (`dataset.weight`) times that of its class (`loss.class_weights`).
"""

import copy
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exp.config.nearest_names import nearest
from exp.config.overrides import value_override
from exp.config.target_kind import TargetKind
from exp.data.row_weights import unpack
from exp.errors import ConfigError, as_yaml, pluralize

# Losses whose own `weight` has one number for each class, and whose mean is divided by the weights of the rows.
_WEIGHTED_BY_CLASS = (nn.CrossEntropyLoss, nn.NLLLoss)


class WeightedLoss(nn.Module):
    """The weighted mean of the losses of rows.

    Args:
        criterion: Returns the loss of each row.
        class_weights: The weight of each of the K classes; None: no class has one.
        has_row_weights: Whether targets have the rows' own weights as their last column.
        has_class_numbers: Whether targets are class numbers [B], and not values [B, ...].
    """

    class_weights: Tensor | None

    def __init__(
        self, criterion: nn.Module, class_weights: Tensor | None, has_row_weights: bool, has_class_numbers: bool
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.register_buffer("class_weights", class_weights)
        self._has_row_weights = has_row_weights
        self._has_class_numbers = has_class_numbers

    def unpack(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the targets as the criterion takes them, and the rows' own weights [B]; None if they have none."""
        return unpack(target, self._has_class_numbers) if self._has_row_weights else (target, None)

    def weigh(self, target: Tensor) -> Tensor:
        """Return the weight of each row [B] in the loss."""
        y, of_row = self.unpack(target)
        of_class = self._weigh_classes(y)
        if of_row is None or of_class is None:
            return cast(Tensor, of_class if of_row is None else of_row)
        return of_class * of_row

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        y, of_row = self.unpack(target)
        losses: Tensor = self.criterion(output, y)
        if losses.ndim == 0 or len(losses) != len(y):
            raise ConfigError(
                f"loss: {type(self.criterion).__name__}(reduction=none) must return the loss of each row, got shape "
                f"{list(losses.shape)} for {pluralize(len(y), 'row')}",
                "loss.class_weights=null, and no dataset.weight",
            )
        if losses.ndim > 1:
            losses = losses.squeeze(1) if losses.shape[1] == 1 else losses.mean(1)
        of_class = self._weigh_classes(y)
        if of_class is not None and not has_class_weight(self.criterion):
            losses = losses * of_class
        if of_row is not None:
            losses = losses * of_row
        return losses.sum() / self.weigh(target).sum()

    def _weigh_classes(self, y: Tensor) -> Tensor | None:
        weights = self.criterion.weight if has_class_weight(self.criterion) else self.class_weights
        if weights is None:
            return None
        return cast(Tensor, weights)[y if self._has_class_numbers else y.squeeze(1).long()]


def weigh(
    criterion: nn.Module,
    output: str | None,
    target: TargetKind,
    class_weights: Sequence[float] | None = None,
    has_row_weights: bool = False,
) -> nn.Module:
    """Return the criterion to use with these weights; `criterion` itself if there are none.

    Args:
        output: What the model's output means to the criterion (loss.output).
        target: What there is to predict.
        class_weights: The weight of each class; None: all weigh 1.
        has_row_weights: Whether the targets have the rows' own weights as their last column.

    Raises:
        ConfigError: The loss cannot be weighted, or its own weights do not fit the classes.
    """
    _check_own_weights(criterion, target)
    if class_weights is not None:
        if getattr(criterion, "weight", None) is not None:
            raise ConfigError(
                "loss.weight cannot be combined with loss.class_weights: both are weights of the classes",
                "loss.class_weights=null, or no loss.weight",
            )
        if isinstance(criterion, _WEIGHTED_BY_CLASS):
            criterion = copy.copy(criterion)
            criterion.weight = torch.tensor(class_weights)
            class_weights = None
    if (class_weights is None and not has_row_weights) or getattr(criterion, "reduction", "mean") != "mean":
        return criterion  # another reduction will be refused
    if not hasattr(criterion, "reduction"):
        raise ConfigError(
            f"loss: {type(criterion).__name__} has no argument 'reduction', so its rows cannot be weighted",
            "loss.class_weights=null, and no dataset.weight",
        )
    of_rows: Any = copy.copy(criterion)
    of_rows.reduction = "none"
    of_class = None if class_weights is None else torch.tensor(class_weights)
    return WeightedLoss(of_rows, of_class, has_row_weights, output == "classes")


def _check_own_weights(criterion: nn.Module, target: TargetKind) -> None:
    """Raise ConfigError if torch would refuse loss.weight or loss.pos_weight, or broadcast it over rows."""
    classes = target.names
    weight, pos_weight = getattr(criterion, "weight", None), getattr(criterion, "pos_weight", None)
    if isinstance(criterion, _WEIGHTED_BY_CLASS):
        if weight is not None and target.kind == "classes" and weight.shape != (len(classes),):
            raise ConfigError(
                f"loss.weight must have a number for each of the {len(classes)} classes ({', '.join(classes)}), got "
                f"{as_yaml(weight.tolist())}",
                f"'loss.class_weights={{{classes[-1]}: 20}}', and no loss.weight",
            )
        return
    for key, value in (("weight", weight), ("pos_weight", pos_weight)):
        is_binary = isinstance(criterion, nn.BCELoss | nn.BCEWithLogitsLoss)
        if is_binary and value is not None and target.kind == "labels" and value.numel() in (1, len(classes)):
            continue
        if is_binary and value is not None and target.kind == "labels":
            raise ConfigError(
                f"loss.{key} must be one number, or one for each of the {len(classes)} labels ({', '.join(classes)}), "
                f"got {as_yaml(value.tolist())}",
                f"'loss.{key}={as_yaml([1] * len(classes))}'",
            )
        if is_binary and value is not None and value.numel() != 1:
            by_class = f"'loss.class_weights={as_yaml(value.tolist())}', and no loss.weight"
            raise ConfigError(
                f"loss.{key} must be one number for {type(criterion).__name__}, got {as_yaml(value.tolist())}",
                by_class if key == "weight" else f"loss.{key}={value.flatten()[-1]:g}",
            )


def without_weights(criterion: nn.Module) -> nn.Module:
    """Return the criterion that WeightedLoss averages; any other criterion as it is."""
    return criterion.criterion if isinstance(criterion, WeightedLoss) else criterion


def loss_weights(criterion: nn.Module, target: Tensor) -> Tensor | None:
    """Return the weight of each row [B] in the mean that `criterion` returns; None if all weigh the same."""
    if isinstance(criterion, WeightedLoss):
        return criterion.weigh(target)
    return cast(Tensor, criterion.weight)[target] if has_class_weight(criterion) else None


def weighs_classes(criterion: nn.Module) -> bool:
    """Return whether errors of some classes weigh more in the loss than errors of others."""
    inner = without_weights(criterion)
    weights = criterion.class_weights if isinstance(criterion, WeightedLoss) else None
    return weights is not None or has_class_weight(inner) or getattr(inner, "pos_weight", None) is not None


def unpack_target(criterion: nn.Module, target: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the y of a target [B, ...] of `criterion`, and the rows' own weights [B]; None if they have none."""
    return criterion.unpack(target) if isinstance(criterion, WeightedLoss) else (target, None)


def has_class_weight(criterion: nn.Module) -> bool:
    """Return whether the criterion has a `weight` for each class that its own mean is divided by."""
    return isinstance(criterion, _WEIGHTED_BY_CLASS) and criterion.weight is not None


def resolve_class_weights(choice: Any, target: TargetKind, totals: NDArray[np.float64]) -> tuple[float, ...] | None:
    """Return the weight of each class that `loss.class_weights=choice` means; None if there are none.

    `balanced` gives every class the same total: n / (k * total), as scikit-learn's compute_class_weight does.

    Args:
        target: What there is to predict.
        totals: The total weight of the training rows of each class: without dataset.weight, their number.

    Raises:
        ConfigError: The target is numeric, or `choice` names an unknown class.
    """
    if choice is None:
        return None
    classes = target.names
    if target.kind == "labels":
        raise ConfigError(
            f"loss.class_weights={as_yaml(choice)} needs classes, but this dataset's targets are {len(classes)} labels",
            # loss=auto has no arguments of one loss.
            f"loss=bce_with_logits '+loss.pos_weight={as_yaml([1] * len(classes))}', how much a 1 of each label weighs",
        )
    if target.kind == "numbers":
        raise ConfigError(
            f"loss.class_weights={as_yaml(choice)} needs classes, but this dataset's target is numeric",
            "loss.class_weights=null, or dataset.task=classes for a table",
        )
    if choice == "balanced":
        present = totals > 0
        balanced = np.divide(totals.sum(), present.sum() * totals, out=np.ones(len(totals)), where=present)
        return tuple(balanced.tolist())
    if not isinstance(choice, Mapping):
        listed = [float(value) for value in choice]
        if len(listed) != len(classes):
            raise ConfigError(
                f"loss.class_weights must have a number for each of the {len(classes)} classes ({', '.join(classes)}), "
                f"got {as_yaml(choice)}",
                f"'loss.class_weights={{{classes[-1]}: 20}}'",
            )
        return tuple(listed)
    of_names = cast("Mapping[Any, Any]", choice)
    _refuse_unknown_classes(of_names, classes)
    named = {str(_class_name(name, classes)): float(value) for name, value in of_names.items()}
    return tuple(named.get(name, 1.0) for name in classes)


def _class_name(name: Any, classes: Sequence[str]) -> str | None:
    """Return the class that the key `name` of a mapping means: a text, a number, or a boolean."""
    return next((spelled for spelled in (str(name), str(name).lower()) if spelled in classes), None)


def _refuse_unknown_classes(weights: Mapping[Any, Any], classes: Sequence[str]) -> None:
    """Raise ConfigError if a name is no class; the fix keeps the numbers, if a class is near to each name."""
    unknown = [str(name) for name in weights if _class_name(name, classes) is None]
    if not unknown:
        return
    meant = {_class_name(name, classes) or nearest(str(name), classes): value for name, value in weights.items()}
    is_clear = None not in meant and len(meant) == len(weights)
    override = f"loss.class_weights={value_override(meant)}" if is_clear else None
    example = f"loss.class_weights={{CLASS: {as_yaml(next(iter(weights.values())))}}}"
    raise ConfigError(
        f"loss.class_weights: unknown class '{unknown[0]}' (available: {', '.join(classes)})",
        shlex.quote(override or example),
        key="loss.class_weights",
        override=override,
    )
