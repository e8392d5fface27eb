"""Figures of a run, from its metrics.csv and its model."""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from exp.data.splits import Split, Splits
from exp.errors import pluralize
from exp.reports.classification import Ranking, Reliability, confusion_counts, truth_of
from exp.reports.style import MAX_CLASSES_WITH_COUNTS, MAX_POINTS, colour_of, escape
from exp.reports.surfaces import decision_surface
from exp.results.atomic import replacement
from exp.results.metrics_csv import read_curves
from exp.results.run_folder import METRICS
from exp.training.objectives import Objective

# The model's outputs [N, K] for x [N, F].
Predict: TypeAlias = Callable[[Tensor], Tensor]


_DPI = 110
_MAX_CURVES = 10
_MAX_SIDE_BY_SIDE = 4


def draw_figures(
    folder: Path, data: Splits, objective: Objective, predict: Predict
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Yield the name of each figure that the data allow, and a function that draws it with the current parameters."""
    unit = "of the standardised target" if data.preprocessing.target_scale else ""
    yield "learning_curves", partial(learning_curves, folder, unit)
    split, shown = data.splits[data.held_out], f"{data.held_out}, {pluralize(len(data.splits[data.held_out]), 'row')}"
    if data.classes is not None:
        output = predict(split.x)
        yield "confusion_matrix", partial(confusion_matrix, split, data.classes, objective, output, shown)
        if objective.log_odds(output[:1]) is not None:
            yield "scores", partial(scores, split, data.classes, objective, output)
    elif not data.preprocessing.has_labels:
        yield "predicted_against_true", partial(predicted_against_true, split, objective, predict, shown)
    if len(data.features) == 2:
        yield "decision_surface", partial(decision_surface, data, objective, predict)


def save(figure: Figure, path: Path) -> tuple[int, int]:
    """Write the figure as a PNG; return its width and height in pixels."""
    path.parent.mkdir(exist_ok=True)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the letters that no font has are boxes
        with replacement(path) as temporary:
            figure.savefig(temporary, dpi=_DPI, format="png")
    width, height = (round(inches * _DPI) for inches in canvas.figure.get_size_inches())
    return width, height


# Labels of so many steps would touch each other.
_LONG_NUMBER = 100_000


def learning_curves(folder: Path, loss_unit: str = "") -> Figure:
    """Plot every metric in metrics.csv against the step, with a curve each for train and val."""
    curves = read_curves(folder, MAX_POINTS)
    columns = list(dict.fromkeys(name for rows in curves.values() for row in rows for name in row.metrics))
    if not columns:
        raise ValueError(f"{folder / METRICS} has no values")
    figure, axes = _side_by_side(len(columns), 4.5, 3.5)
    for axis, column in zip(axes, columns, strict=True):
        for split, colour in (("train", "tab:blue"), ("val", "tab:orange")):
            points = [(row.step, row.metrics[column]) for row in curves.get(split, []) if column in row.metrics]
            if not points:  # a metric of whole splits has no values for batches
                continue
            steps, values = np.array(points).T
            if steps[-1] >= _LONG_NUMBER:
                axis.locator_params(axis="x", nbins=4)
            # Single batches are noisy and would hide the other curve: draw their running mean.
            window = max(1, len(points) // 40) if split == "train" else 1
            means = np.convolve(values, np.full(window, 1 / window), mode="valid") if window > 1 else values
            axis.plot(steps[window - 1 :], means, color=colour, label=split, marker="." if len(points) < 40 else "")
            if window > 1:
                axis.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
        axis.set(xlabel="step", title=f"{column} {loss_unit}" if column == "loss" and loss_unit else column)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    return figure


def confusion_matrix(
    split: Split, classes: tuple[str, ...], objective: Objective, output: Tensor, title: str
) -> Figure:
    """Plot the confusion matrix, true classes by predicted classes; without numbers if there are many classes."""
    counts = confusion_counts(split, len(classes), objective, output)
    size = min(14.0, max(3.5, 0.5 * len(classes) + 2))
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(counts, cmap="Blues")
    if len(classes) <= MAX_CLASSES_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if 2 * count > counts.max() else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour)
        ticks, names = range(len(classes)), [escape(name) for name in classes]
        axis.set_xticks(ticks, names, rotation=45 if max(map(len, classes)) > 6 else 0)
        axis.set_yticks(ticks, names)
    axis.set(xlabel="predicted", ylabel="true", title=title)
    return figure


def scores(split: Split, classes: tuple[str, ...], objective: Objective, output: Tensor) -> Figure:
    """Plot ROC, precision against recall, and calibration of the predicted class.

    Two classes have one curve, for the second class. Up to ten classes have a curve each, against all others. More
    classes share one curve, of all these decisions together (micro average). Rows have their weights, as in the
    metrics.
    """
    truth, odds = truth_of(split), objective.log_odds(output)
    assert odds is not None
    score = odds.cpu().numpy()
    weights = split.row_weights
    is_class = truth[:, None] == np.arange(len(classes))
    targets = {name: (is_class[:, number], score[:, number]) for number, name in enumerate(classes)}
    if len(classes) == 2:
        targets.pop(classes[0])
    elif len(classes) > _MAX_CURVES:
        targets = {"all classes": (is_class.ravel(), score.ravel())}
    of_target = None if weights is None else np.repeat(weights, len(classes) if "all classes" in targets else 1)
    figure, (roc, precision, calibration) = _side_by_side(3, 4, 4)
    for number, (name, (is_target, target_score)) in enumerate(targets.items()):
        if 0 < is_target.sum() < len(is_target):
            rank, colour = Ranking.of(is_target, target_score, of_target), colour_of(number)
            shown = np.unique(np.linspace(0, len(rank.true) - 1, MAX_POINTS).astype(int))
            false, true, precisions = rank.false[shown], rank.true[shown], rank.precision[shown]
            roc.plot(false, true, color=colour, label=f"{escape(name)}: area {rank.area:.4g}")
            precision.step(
                true, precisions, color=colour, where="pre", label=f"{escape(name)}: average {rank.average:.4g}"
            )
    for axis, corner in ((roc, "lower right"), (precision, "lower left")):
        if axis.lines:
            axis.legend(fontsize="small", loc=corner)
    roc.plot([0, 1], [0, 1], color="gray", linewidth=1)
    roc.set(xlabel="false positive rate", ylabel="true positive rate")
    precision.set(xlabel="recall", ylabel="precision", ylim=(-0.05, 1.05))
    predicted = objective.prediction(output).cpu().numpy()
    sure = np.exp(-np.logaddexp(0.0, -score[np.arange(len(score)), predicted]))
    bins = Reliability.of(sure, predicted == truth, weights)
    calibration.plot(bins.sure, bins.right, marker="o", color=colour_of(0))
    calibration.plot([0, 1], [0, 1], color="gray", linewidth=1)
    lowest = math.floor(10 / len(classes)) / 10  # a predicted class has at least this probability
    calibration.set(xlabel="probability of the predicted class", ylabel="share correct")
    calibration.set(xlim=(lowest - 0.03, 1.03), ylim=(-0.05, 1.05))
    titles = ("ROC", "precision against recall", f"calibration, expected error {bins.error:.3g}")
    for axis, title in zip((roc, precision, calibration), titles, strict=True):
        axis.set_title(title, y=1.0)  # without y, matplotlib measures every tick label
        axis.grid(alpha=0.3)
    return figure


def predicted_against_true(split: Split, objective: Objective, predict: Predict, title: str) -> Figure:
    """Plot predictions against the first target of the rows; exact predictions lie on the line."""
    shown = split.x[:: -(-len(split) // MAX_POINTS)]
    truth = split.values[:: -(-len(split) // MAX_POINTS), 0].numpy()
    predicted = objective.scalar_output(predict(shown)).cpu().numpy()
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.scatter(truth, predicted, s=8, alpha=0.5, linewidths=0)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    axis.plot(ends, ends, color="gray", linewidth=1)
    axis.set(xlabel="true", ylabel="predicted", title=title)
    axis.grid(alpha=0.3)
    return figure


def _side_by_side(count: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    """Create axes, each of that size in inches, in rows of _MAX_SIDE_BY_SIDE.

    Matplotlib's own layouts take as long as the drawing.
    """
    columns = min(count, _MAX_SIDE_BY_SIDE)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * width, rows * height))
    side, below, above = 0.7, 0.5, 0.35
    axes: list[Any] = []
    for number in range(count):
        row, column = divmod(number, columns)
        left, bottom = column * width + side, (rows - 1 - row) * height + below
        place = (left / (columns * width), bottom / (rows * height))
        size = ((width - side - 0.25) / (columns * width), (height - (below + above)) / (rows * height))
        axes.append(figure.add_axes((*place, *size)))
    return figure, axes
