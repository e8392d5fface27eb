"""The metrics by name: for which targets, and whether a higher value is better. Without torch, for the command line."""

import math
import re
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from exp.config import own_metrics
from exp.config.nearest_names import nearest
from exp.config.target_kind import TargetKind

# Whether a higher value is better. The first ones of a kind are in every run.
_OF_ALL = {"loss": False, "error": False}
_OF_CLASSES_AND_LABELS = {
    "f1": True,
    "precision": True,
    "recall": True,
    "weighted_f1": True,
    "weighted_precision": True,
    "weighted_recall": True,
    "auc": True,
    "average_precision": True,
}
_OF_CLASSES = {
    "accuracy": True,
    "balanced_accuracy": True,
    **_OF_CLASSES_AND_LABELS,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "mcc": True,
}
_OF_LABELS = {
    "label_accuracy": True,
    "subset_accuracy": True,
    "hamming_loss": False,
    **_OF_CLASSES_AND_LABELS,
}
_OF_NUMBERS = {
    "rmse": False,
    "r2": True,
    "mae": False,
    "mape": False,
    "median_absolute_error": False,
    "spearman": True,
}

# The smallest and the largest value, where it is not 0 and infinity for a cost, and 0 and 1 for a score.
_RANGES = {"loss": (-inf, inf), "mcc": (-1.0, 1.0), "spearman": (-1.0, 1.0), "r2": (-inf, 1.0)}

_ALWAYS = {
    "classes": ("loss", "accuracy"),
    "labels": ("loss", "label_accuracy", "subset_accuracy"),
    "numbers": ("loss", "rmse", "r2"),
}
_BY_KIND = {"classes": _OF_ALL | _OF_CLASSES, "labels": _OF_ALL | _OF_LABELS, "numbers": _OF_ALL | _OF_NUMBERS}
_ALL = _BY_KIND["classes"] | _BY_KIND["numbers"] | _BY_KIND["labels"]

# f1:yes is the F1 of the class yes or of the label yes, rmse:price the RMSE of the target price.
_OF_ONE = {
    "classes": ("f1", "precision", "recall"),
    "labels": ("accuracy", "f1", "precision", "recall", "auc", "average_precision"),
    "numbers": ("rmse", "r2", "mae", "mape", "median_absolute_error", "spearman"),
}
_ONE = {"classes": "class", "labels": "label", "numbers": "target"}
_OF_ANY_ONE = tuple(dict.fromkeys(name for names in _OF_ONE.values() for name in names))
_WITH_CLASS = re.compile(rf"({'|'.join(_OF_ANY_ONE)}):(.+)")


# More classes are not listed in a message.
_MAX_CLASSES = 20


# The kinds of targets.
KINDS = tuple(_BY_KIND)

# The names that every kind of target has.
OF_ANY_TARGET = tuple(_OF_ALL)

# Every name, for all kinds of targets.
NAMES = tuple(_ALL)
PATTERN = re.compile(rf"{'|'.join(NAMES)}|{_WITH_CLASS.pattern}|{own_metrics.PATTERN.pattern}")


def is_higher_better(name: str) -> bool:
    """Return whether a higher value of the metric `name` is better; of the form f1:CLASS or mine.gain too.

    Raises:
        ConfigError: The metric is the user's, and its source does not state it.
    """
    return own_metrics.is_higher_better(name) if own_metrics.is_own(name) else _ALL.get(split_class(name)[0], True)


def metric_range(name: str) -> tuple[float, float]:
    """Return the smallest and the largest value that the metric `name` can have."""
    name, _ = split_class(name)
    return _RANGES.get(name, (0.0, 1.0 if _ALL[name] else inf)) if name in _ALL else (-inf, inf)


def as_cost(name: str, value: float) -> float:
    """Return a value of the metric `name` so that a lower one is better."""
    return -value if is_higher_better(name) else value


def rank(name: str, value: float) -> tuple[bool, float]:
    """Return what sorts the best value of the metric `name` first, and NaN last."""
    return math.isnan(value), 0.0 if math.isnan(value) else as_cost(name, value)


def chosen_metrics(metrics: str | Sequence[str], metric: str) -> list[str]:
    """Return the names in the keys metrics= and metric= of a config."""
    return [*([metrics] if isinstance(metrics, str) else metrics), metric]


def split_class(name: str) -> tuple[str, str | None]:
    """Return the name of a metric and the class or target that it is of: ("f1", "yes") for f1:yes, None for all."""
    match = _WITH_CLASS.fullmatch(name)
    return (name, None) if match is None else (match[1], match[2])


def metric_names(kind: str) -> tuple[str, ...]:
    """Return the names of all metrics of a target: of classes, labels or numbers."""
    return tuple(_BY_KIND[kind])


def always_computed(kind: str) -> tuple[str, ...]:
    """Return the names of the metrics that every run with a target of that kind has."""
    return _ALWAYS[kind]


# What other programs call them, where the spelling differs too much or is nearer to another metric.
_CALLED = {
    "auc": ("roc_auc", "auroc", "roc", "roc_auc_ovr"),
    "average_precision": ("aucpr", "auprc", "pr_auc", "auc_pr", "prc", "ap"),
    "accuracy": ("top1", "hit_rate"),
    "balanced_accuracy": ("bacc",),
    "recall": ("sensitivity", "tpr"),
    "precision": ("ppv",),
    "f1": ("macro_f1", "f1_macro"),
    "weighted_f1": ("f1_weighted",),
    "log_loss": ("nll", "ce", "cross_entropy"),
    "mcc": ("matthews", "matthews_corrcoef"),
    "rmse": ("mse", "mean_squared_error", "root_mean_squared_error"),
    "mae": ("l1", "mean_absolute_error"),
    "mape": ("mean_absolute_percentage_error",),
    "r2": ("r_squared", "rsquared"),
}
_MEANT = {re.sub("_", "", other): name for name, others in _CALLED.items() for other in others}


def nearest_metric(text: str, names: Sequence[str] = NAMES) -> str | None:
    """Return the metric of `names` that `text` means, such as f1:yes for F1:yes; None if none is similar."""
    name, colon, of_class = text.partition(":")
    meant = _MEANT.get(re.sub(r"[-_ ]", "", name.lower().removesuffix("_score")))
    near = meant if meant in names else nearest(name.removesuffix("_score"), names)
    return f"{near}:{of_class}" if near in _OF_ANY_ONE and colon and of_class else near


class WrongMetric(NamedTuple):
    """What is wrong with the name of a metric, the names that there are, and the metric that is meant, if any is."""

    problem: str
    available: str
    meant: str | None


def find_wrong_metric(name: str, target: TargetKind) -> WrongMetric | None:
    """Return what is wrong with the metric `name` for a target; None: nothing is."""
    known, of_one, (metric, of_name) = metric_names(target.kind), _OF_ONE[target.kind], split_class(name)
    if metric not in (known if of_name is None else (*known, *of_one)) and not own_metrics.is_own(name):
        meant = nearest_metric(name, known)
        return WrongMetric(f"{name} is no metric of {target}", ", ".join(known), meant)
    if of_name is None:
        return None
    one = _ONE[target.kind]
    if metric not in of_one:
        return WrongMetric(f"{metric} has no value for one {one} alone", ", ".join(of_one), metric)
    if of_name in target.names:
        return None
    listed = [*target.names[:_MAX_CLASSES], *(["..."] if len(target.names) > _MAX_CLASSES else [])]
    meant = nearest(of_name, target.names)
    what = f"the target has no class '{of_name}'" if one == "class" else f"there is no {one} '{of_name}'"
    return WrongMetric(what, ", ".join(listed), f"{metric}:{meant or target.names[-1]}")
