"""Decision surfaces: the output of a model over a mesh of two features, of one run or of several side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from exp.data.splits import Splits
from exp.reports.style import MAX_CLASSES_WITH_COUNTS, MAX_POINTS, colour_of, escape
from exp.training.objectives import Objective

_Predict: TypeAlias = Callable[[Tensor], Tensor]


_MESH = 100
_MAX_ACROSS = 4
_LEVELS = 20
_MAX_LETTERS = 36  # of the name of a surface


# From the colour of the first class to that of the second, lighter than the points.
_OF_TWO_CLASSES = ListedColormap(0.45 + 0.55 * colormaps["coolwarm"](np.linspace(0, 1, 256)))


@dataclass(frozen=True)
class Surface:
    """The heights [M, M] of a model's output over the `sides` [M] of a mesh, and the data that it was trained on.

    The height is the output for the second of two classes, the number of the predicted class of more, or a value.
    """

    sides: tuple[NDArray[np.float64], NDArray[np.float64]]
    height: NDArray[np.float32]
    data: Splits

    @property
    def classes(self) -> int:
        """The number of classes; 0 for a numeric target."""
        return len(self.data.classes or ())

    @property
    def label(self) -> str:
        """What the height is."""
        classes = self.data.classes
        return "predicted value" if classes is None else f"output for {escape(classes[1])}"


def make_surface(data: Splits, objective: Objective, predict: _Predict) -> Surface:
    """Return the surface of the model `predict`, whose data have two features."""
    points = data.train.x.cpu().numpy()
    first, second = (np.linspace(*_round_limits(points[:, feature]), _MESH) for feature in (0, 1))
    mesh = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
    output = predict(torch.tensor(mesh, dtype=data.train.x.dtype, device=data.train.x.device))
    height = objective.scalar_output(output).float().cpu().numpy().reshape(_MESH, _MESH)
    return Surface((first, second), height, data)


def decision_surface(data: Splits, objective: Objective, predict: _Predict) -> Figure:
    """Plot the surface of one model as filled contours, with the boundary of its classes and the training rows."""
    surface = make_surface(data, objective, predict)
    figure = Figure(figsize=(5.5, 4.5), layout="constrained")
    axis = figure.subplots()
    filled = _draw(axis, surface, _choose_levels([surface]))
    if surface.classes <= 2:
        _add_scale(figure, filled, [axis], surface)
    _add_legend(axis, surface)
    return figure


def side_by_side(surfaces: Mapping[str, Surface]) -> Figure:
    """Plot several surfaces with one scale of colours, in rows of three or four, each below its name."""
    first, levels = next(iter(surfaces.values())), _choose_levels(list(surfaces.values()))
    fewest_gaps = min((_MAX_ACROSS, _MAX_ACROSS - 1), key=lambda columns: -len(surfaces) % columns)
    across = min(len(surfaces), fewest_gaps)
    down = -(-len(surfaces) // across)
    figure = Figure(figsize=(3.6 * across + 0.8, 3.7 * down), layout="constrained")
    charts = figure.subplots(down, across, squeeze=False).flatten()
    for chart in charts[len(surfaces) :]:
        chart.set_visible(False)
    filled: Any = None
    for chart, (name, surface) in zip(charts, surfaces.items(), strict=False):
        filled = _draw(chart, surface, levels)
        chart.set_title(escape(name, _MAX_LETTERS), fontsize="medium")
    if first.classes <= 2:
        _add_scale(figure, filled, list(charts[: len(surfaces)]), first)
    _add_legend(charts[0], first)
    return figure


def _choose_levels(surfaces: Sequence[Surface]) -> list[float]:
    """Return the heights between which the colours change.

    Of two classes they are from 0 to 1 in every figure: the colour of the boundary is that of a model without training.
    """
    if surfaces[0].classes:
        return np.linspace(0, 1, _LEVELS + 1).tolist()
    low = min(float(surface.height.min()) for surface in surfaces)
    high = max(float(surface.height.max()) for surface in surfaces)
    return [float(level) for level in MaxNLocator(_LEVELS).tick_values(low, high)]


def _draw(axis: Any, surface: Surface, levels: Sequence[float]) -> Any:
    """Draw the surface, the boundary between its classes, and the training rows; return what the colours mean."""
    count, height = surface.classes, surface.height
    if count > 2:
        edges = np.arange(count + 1) - 0.5
        colours = [colour_of(number) for number in range(count)]
        filled = axis.contourf(*surface.sides, height, levels=edges, colors=colours, alpha=0.3)
        for number in range(count):
            if 0 < np.count_nonzero(height == number) < height.size:
                axis.contour(*surface.sides, height == number, levels=[0.5], colors="black", linewidths=0.6)
    else:
        cmap, inside = (_OF_TWO_CLASSES, height.clip(0, 1)) if count else ("viridis", height)
        filled = axis.contourf(*surface.sides, inside, levels=levels, cmap=cmap)
        if count and float(height.min()) < 0.5 < float(height.max()):
            axis.contour(*surface.sides, height, levels=[0.5], colors="black", linewidths=1.2)
    _scatter(axis, surface.data)
    axis.set(xlabel=escape(surface.data.features[0]), ylabel=escape(surface.data.features[1]))
    return filled


def _scatter(axis: Any, data: Splits) -> None:
    if data.classes is None:
        return  # the height itself is the target, and points would hide it
    points = data.train.x.cpu().numpy()
    numbers = data.train.y.reshape(len(points)).long().cpu().numpy()
    for number, name in enumerate(data.classes):
        of_class = points[numbers == number]
        of_class = of_class[:: max(1, -(-len(of_class) // MAX_POINTS))]
        axis.scatter(*of_class.T, s=10, color=colour_of(number), edgecolors="white", linewidths=0.3, label=escape(name))


def _add_scale(figure: Figure, filled: Any, axes: list[Any], surface: Surface) -> None:
    scale = figure.colorbar(filled, ax=axes, label=surface.label, fraction=0.05 if len(axes) > 1 else 0.15)
    if surface.classes:
        scale.set_ticks([0, 0.25, 0.5, 0.75, 1])


def _add_legend(axis: Any, surface: Surface) -> None:
    if 0 < surface.classes <= MAX_CLASSES_WITH_COUNTS:
        axis.legend(loc="upper right", fontsize="small")


def _round_limits(values: Any) -> tuple[float, float]:
    """Return the nearest round numbers below and above all values: (-5, 5) for values between -4.9 and 4.9."""
    low, high = float(values.min()), float(values.max())
    ticks = MaxNLocator(nbins=10).tick_values(low, high)
    width = float(ticks[1] - ticks[0])
    return min([float(t) for t in ticks if t < low], default=low - width), max(
        [float(t) for t in ticks if t > high], default=high + width
    )
