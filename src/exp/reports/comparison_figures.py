"""Figures that compare the jobs of a sweep: validation loss against four axes, and decision surfaces."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import imread

from exp.reports.figures import save
from exp.reports.mean_curves import Curves
from exp.results.run_folder import FIGURES

AXES = {"epoch": "epochs", "step": "updates", "samples": "samples", "seconds": "seconds"}


# From this ratio of the longest to the shortest curve, the axis is logarithmic: the shortest would be a dot.
_LOG_SCALE_RATIO = 20.0


def draw_comparison(folder: Path, curves: Mapping[str, Curves], jobs: Mapping[str, Path]) -> Iterator[Path]:
    """Write the figures to `folder`; yield their paths. `jobs` has the folder of one job for each curve."""
    for column, axis in AXES.items():
        path = folder / f"loss_against_{axis}.png"
        save(against(curves, column, axis), path)
        yield path
    surfaces = {name: job / FIGURES / "decision_surface.png" for name, job in jobs.items()}
    existing = {name: path for name, path in surfaces.items() if path.exists()}
    if len(existing) > 1:
        path = folder / "decision_surfaces.png"
        save(side_by_side(existing), path)
        yield path


def against(curves: Mapping[str, Curves], column: str, axis: str) -> Figure:
    """Plot validation loss against a column of metrics.csv, with a band for sets of several jobs."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    chart = figure.subplots()
    for name, (mean, deviation) in curves.items():
        if mean:
            x, y, width = mean[column], mean["loss"], deviation["loss"]
            (line,) = chart.plot(x, y, label=name, marker="." if len(x) < 40 else "")
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


def side_by_side(pictures: Mapping[str, Path]) -> Figure:
    """Arrange images in rows of up to four, each under its name."""
    across = min(4, len(pictures))
    down = -(-len(pictures) // across)
    figure = Figure(figsize=(4.4 * across, 4 * down))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.08 / down, wspace=0.03)
    charts = figure.subplots(down, across, squeeze=False).flatten()
    for chart in charts:
        chart.axis("off")
    for chart, (name, path) in zip(charts, pictures.items(), strict=False):
        chart.imshow(imread(path))
        chart.set_title(name)
    return figure
