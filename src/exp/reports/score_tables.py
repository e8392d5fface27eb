"""The table of a run's page with the scores of each class or of each label."""

import math
from dataclasses import replace

from torch import Tensor

from exp.reports.classification import confusion_counts, scores_by_class
from exp.reports.html import Table
from exp.training import label_metrics
from exp.training.build import Experiment
from exp.training.labels import Labels, label_rows

# More classes or labels are not listed.
_MAX_CLASSES = 50


def score_table(experiment: Experiment, output: Tensor) -> Table | None:
    """Return the scores of each class or label of the held-out rows; None for numbers, and for many classes."""
    if isinstance(experiment.objective, Labels):
        return _labels(experiment, experiment.objective, output)
    classes = experiment.data.classes
    if classes is None or len(classes) > _MAX_CLASSES:
        return None
    split = experiment.data.splits[experiment.data.held_out]
    counts = confusion_counts(split, len(classes), experiment.objective, output)
    rows: list[tuple[str, ...]] = []
    for scores in scores_by_class(classes, counts):
        shares = (scores.precision, scores.recall, scores.f1)
        cells = ("" if math.isnan(share) else f"{100 * share:.1f} %" for share in shares)
        rows.append((scores.name, *cells, f"{scores.rows:,}"))
    return Table(("", "precision", "recall", "F1", "rows"), rows)


def _labels(experiment: Experiment, objective: Labels, output: Tensor) -> Table | None:
    """Return the scores of each label."""
    names = experiment.data.preprocessing.target_names
    if len(names) > _MAX_CLASSES:
        return None
    shown = ("accuracy", "precision", "recall", "f1", "auc")
    split, rows = experiment.data.splits[experiment.data.held_out], list[tuple[str, ...]]()
    unweighted = replace(label_rows(objective, output, split), weights=None)
    for name, of_label in zip(names, unweighted.of_label, strict=True):
        values = [label_metrics.OF_ONE[metric](of_label) for metric in shown]
        cells = ("" if value is None else f"{100 * value:.1f} %" for value in values[:-1])
        rows.append((name, *cells, "" if values[-1] is None else f"{values[-1]:.4f}", f"{of_label.truth.sum():,}"))
    return Table(("", "accuracy", "precision", "recall", "F1", "AUC", "rows with it"), rows)
