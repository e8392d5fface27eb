"""The metrics that a run computes for a whole split in addition to its sums: metrics=[f1, auc]."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from exp.config.metric_names import WrongMetric, always_computed, find_wrong_metric, split_class
from exp.config.overrides import quote_names, quote_text, text_override
from exp.config.own_metrics import is_own
from exp.config.target_kind import TargetKind
from exp.data.columns.column import Floats
from exp.errors import ConfigError
from exp.training import class_metrics, label_metrics, number_metrics
from exp.training.class_metrics import ClassRows
from exp.training.label_metrics import LabelRows
from exp.training.number_metrics import NumberRows
from exp.training.own_metric import OwnMetric

_OF_CLASSES: dict[str, Callable[[ClassRows], float | None]] = {
    "error": class_metrics.error,
    "balanced_accuracy": class_metrics.balanced_accuracy,
    "f1": class_metrics.f1,
    "precision": class_metrics.precision,
    "recall": class_metrics.recall,
    "weighted_f1": class_metrics.weighted_f1,
    "weighted_precision": class_metrics.weighted_precision,
    "weighted_recall": class_metrics.weighted_recall,
    "auc": class_metrics.auc,
    "average_precision": class_metrics.average_precision,
    "log_loss": class_metrics.log_loss,
    "brier": class_metrics.brier,
    "ece": class_metrics.ece,
    "mcc": class_metrics.mcc,
}
_OF_NUMBERS: dict[str, Callable[[NumberRows], float | None]] = {
    "error": number_metrics.error,
    "mae": number_metrics.mae,
    "mape": number_metrics.mape,
    "median_absolute_error": number_metrics.median_absolute_error,
    "spearman": number_metrics.spearman,
}
_OF_ONE_NUMBER = {**_OF_NUMBERS, "rmse": number_metrics.error, "r2": number_metrics.r2}
_OF_ONE_CLASS: dict[str, Callable[[ClassRows], Floats]] = {
    "f1": lambda rows: rows.f1,
    "precision": lambda rows: rows.precision,
    "recall": lambda rows: rows.recall,
}
_NUMBERS = TargetKind("numbers", ())
_OF_PROBABILITIES = ("auc", "average_precision", "log_loss", "brier", "ece")


@dataclass(frozen=True)
class ChosenMetrics:
    """The metrics `names` of a `target`; `own` are the user's."""

    names: tuple[str, ...] = ()
    target: TargetKind = _NUMBERS
    own: Mapping[str, OwnMetric] = field(default_factory=dict[str, OwnMetric])

    def of_classes(self, rows: ClassRows) -> dict[str, float]:
        """Return the metrics that the rows define."""
        return _drop_undefined({name: self._of_classes(name, rows) for name in self.names})

    @np.errstate(over="ignore")
    def of_numbers(self, rows: NumberRows) -> dict[str, float]:
        """Return the metrics that the rows define; those of predictions that overflow are infinite."""
        return _drop_undefined({name: self._of_numbers(name, rows) for name in self.names})

    def of_labels(self, rows: LabelRows) -> dict[str, float]:
        """Return the metrics that the rows define."""
        return _drop_undefined({name: self._of_labels(name, rows) for name in self.names})

    def _of_numbers(self, name: str, rows: NumberRows) -> float | None:
        if name in self.own:
            truth, predicted = (v[:, 0] if v.shape[1] == 1 else v for v in (rows.truth, rows.predicted))
            return self.own[name](truth, predicted, rows.weights)
        metric, of_target = split_class(name)
        if of_target is None:
            return _OF_NUMBERS[name](rows)
        one = [self.target.names.index(of_target)]
        return _OF_ONE_NUMBER[metric](NumberRows(rows.truth[:, one], rows.predicted[:, one], rows.weights))

    def _of_labels(self, name: str, rows: LabelRows) -> float | None:
        if name in self.own:
            return self.own[name](rows.truth, rows.probabilities, rows.weights)
        metric, of_label = split_class(name)
        if of_label is None:
            return label_metrics.METRICS[name](rows)
        return label_metrics.OF_ONE[metric](rows.of_label[self.target.names.index(of_label)])

    def _of_classes(self, name: str, rows: ClassRows) -> float | None:
        if name in self.own:
            return self.own[name](rows.truth, rows.probabilities, rows.weights)
        metric, of_class = split_class(name)
        if of_class is None:
            return _OF_CLASSES[name](rows)
        number = self.target.names.index(of_class)
        return float(_OF_ONE_CLASS[metric](rows)[number]) if rows.has_class[number] else None


NO_METRICS = ChosenMetrics()


def choose_metrics(
    names: Sequence[str], target: TargetKind, gives_probabilities: bool, key: str = "metrics"
) -> ChosenMetrics:
    """Return the metrics `names` without those that every run has.

    Args:
        gives_probabilities: Whether the loss makes probabilities of the outputs.
        key: The key of the names, for messages: metrics, or metric, which has one name.

    Raises:
        ConfigError: A metric is not for such a target, or for such a loss.
    """
    _check(key, names, target, gives_probabilities)
    known = always_computed(target.kind)
    chosen = tuple(name for name in dict.fromkeys(names) if name not in known)
    own = {name: OwnMetric.load(name) for name in chosen if is_own(name)}
    return ChosenMetrics(chosen, target, own)


def check_metrics(metrics: str | Sequence[str], metric: str, target: TargetKind, gives_probabilities: bool) -> None:
    """Raise ConfigError, as `choose_metrics` does, for the keys `metrics` and `metric` of a config."""
    _check("metrics", [metrics] if isinstance(metrics, str) else metrics, target, gives_probabilities)
    _check("metric", [metric], target, gives_probabilities)


def _check(key: str, names: Sequence[str], target: TargetKind, gives_probabilities: bool) -> None:
    """Raise ConfigError, with all of them, if some of the `names` that `key` has are no metrics of the target."""
    found, kept = list[WrongMetric](), list[str]()
    for name in names:
        wrong = find_wrong_metric(name, target)
        if wrong is None and name in _OF_PROBABILITIES and not gives_probabilities:
            wrong = WrongMetric(
                f"{name} needs probabilities, and with this loss the model's outputs are none", "", None
            )
        found += [] if wrong is None else [wrong]
        meant = name if wrong is None else wrong.meant
        kept += [] if meant is None else [meant]
    if not found:
        return
    last = {wrong.available: place for place, wrong in enumerate(found)}  # what is available is listed once
    problems = [
        f"{wrong.problem} (available: {wrong.available})"
        if wrong.available and last[wrong.available] == place
        else wrong.problem
        for place, wrong in enumerate(found)
    ]
    value, override = quote_names(names), f"{key}={quote_names(dict.fromkeys(kept))}"
    if key == "metric":
        value, override = quote_text(names[0]), text_override(key, kept[0] if kept else "loss")
    raise ConfigError(f"{key}={value}: {'; '.join(problems)}", shlex.quote(override), key=key, override=override)


def _drop_undefined(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and not np.isnan(value)}
