"""Decision surfaces: one scale of colours for all jobs of a sweep, and the boundary between the classes."""

from typing import Any

import numpy as np
import pytest
from conftest import config_of
from matplotlib.contour import QuadContourSet

from exp.reports.surfaces import Surface, decision_surface, make_surface, side_by_side
from exp.training.build import build
from exp.training.loop import Training


def surface_of(*words: str) -> Surface:
    experiment = build(config_of(*words))
    list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    return make_surface(experiment.data, experiment.objective, experiment.learner.predict)


def contours(axis: Any, is_filled: bool) -> list[QuadContourSet]:
    found = [child for child in axis.get_children() if isinstance(child, QuadContourSet)]
    return [one for one in found if one.filled is is_filled]


@pytest.mark.parametrize(
    "words",
    [
        "dataset=moons",
        pytest.param("dataset=moons loss=mse", marks=pytest.mark.slow),
        pytest.param("dataset=distance loss=mse", marks=pytest.mark.slow),
    ],
)
def test_all_surfaces_have_one_scale(words: str):
    surfaces = {f"epochs={n}": surface_of(*words.split(), f"epochs={n}", "optimizer=adam") for n in (1, 3)}
    figure = side_by_side(surfaces)
    *charts, scale = figure.axes
    assert [chart.get_title() for chart in charts] == list(surfaces)
    first, second = (contours(chart, is_filled=True)[0] for chart in charts)
    assert list(first.levels) == list(second.levels)
    assert [float(x) for x in first.norm([0.3, 7.0])] == [float(x) for x in second.norm([0.3, 7.0])]
    heights = np.concatenate([surface.height.ravel() for surface in surfaces.values()])
    if "distance" in words:
        assert first.levels[0] <= heights.min()
        assert first.levels[-1] >= heights.max()
        assert scale.get_ylabel() == "predicted value"
    else:
        assert (first.levels[0], first.levels[-1]) == (0, 1)
        assert scale.get_ylabel() == "output for 1"


def test_the_boundary_is_where_the_prediction_changes():
    experiment = build(config_of("dataset=moons", "model=linear", "epochs=3"))
    list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    figure = decision_surface(experiment.data, experiment.objective, experiment.learner.predict)
    (boundary,) = contours(figure.axes[0], is_filled=False)
    model: Any = experiment.model
    weight = (model.weight[1] - model.weight[0]).detach().numpy()
    bias = float((model.bias[1] - model.bias[0]).detach())
    points = boundary.get_paths()[0].vertices
    assert len(points) > 10
    assert np.abs(points @ weight + bias).max() < 0.02 * np.abs(points @ weight).max()


def test_a_model_that_has_one_class_has_no_boundary():
    surface = surface_of("experiment=signal_background", "batching=full", "epochs=1")
    figure = side_by_side({"a": surface, "b": surface})
    assert all(contours(axis, is_filled=False) == [] for axis in figure.axes)


@pytest.mark.parametrize(("count", "across"), [(2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4)])
def test_the_rows_have_few_gaps(count: int, across: int):
    surface = surface_of("dataset=xor", "epochs=1")
    figure = side_by_side({str(number): surface for number in range(count)})
    tops = [round(axis.get_subplotspec().rowspan.start) for axis in figure.axes[:count]]
    assert tops.count(0) == across
