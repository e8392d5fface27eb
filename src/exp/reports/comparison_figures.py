"""Figures that compare the jobs of a sweep: validation loss against four axes, and decision surfaces."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from exp.errors import ExpError
from exp.reports.figures import save
from exp.reports.mean_curves import Curves
from exp.reports.style import escape
from exp.reports.surfaces import Surface, make_surface, side_by_side
from exp.results.run_folder import FIGURES
from exp.results.trained_model import load_trained

AXES = {"epoch": "epochs", "step": "updates", "samples": "samples", "seconds": "seconds"}


# From this ratio of the longest to the shortest curve, the axis is logarithmic: the shortest would be a dot.
_LOG_SCALE_RATIO = 20.0

# Longer names of choices leave no room for the curves.
_MAX_LETTERS = 60


def draw_comparison(folder: Path, curves: Mapping[str, Curves], jobs: Mapping[str, Path]) -> Iterator[Path]:
    """Write the figures to `folder`; yield their paths. `jobs` has the folder of one job for each curve.

    Jobs without validation rows have no curves.
    """
    has_val = any(mean for mean, _ in curves.values())
    for column, axis in AXES.items() if has_val else ():
        path = folder / f"loss_against_{axis}.png"
        save(against(curves, column, axis), path)
        yield path
    surfaces = _surfaces({name: job for name, job in jobs.items() if (job / FIGURES / "decision_surface.png").exists()})
    if len(surfaces) > 1:
        path = folder / "decision_surfaces.png"
        save(side_by_side(surfaces), path)
        yield path


def _surfaces(jobs: Mapping[str, Path]) -> dict[str, Surface]:
    """Return the surface of each job's trained model; none if one cannot be loaded, or if their targets differ."""
    surfaces: dict[str, Surface] = {}
    for name, job in jobs.items():
        try:
            experiment = load_trained(job).experiment
        except ExpError:
            return {}
        surfaces[name] = make_surface(experiment.data, experiment.objective, experiment.learner.predict)
    return surfaces if len({surface.data.classes for surface in surfaces.values()}) == 1 else {}


def against(curves: Mapping[str, Curves], column: str, axis: str) -> Figure:
    """Plot validation loss against a column of metrics.csv, with a band for sets of several jobs."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    chart = figure.subplots()
    for name, (mean, deviation) in curves.items():
        if mean:
            x, y, width = mean[column], mean["loss"], deviation["loss"]
            (line,) = chart.plot(x, y, label=escape(name, _MAX_LETTERS), marker="." if len(x) < 40 else "")
            chart.fill_between(x, y - width, y + width, color=line.get_color(), alpha=0.2, linewidth=0)
    ends = [float(mean[column][-1]) for mean, _ in curves.values() if mean]
    if max(ends) > _LOG_SCALE_RATIO * min(ends):  # one step of a job may take longer than all of another
        after_start = [float(x) for mean, _ in curves.values() if mean for x in mean[column] if x > 0]
        chart.set_xscale("symlog", linthresh=min(after_start))
        chart.set_xlim(left=0)
    chart.set(xlabel=axis, ylabel="validation loss")
    chart.grid(alpha=0.3)
    chart.legend()
    return figure
