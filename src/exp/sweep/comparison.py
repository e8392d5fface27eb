"""A sweep's jobs beside each other: curves against four axes, surfaces side by side, a band for each set of seeds.

PNGs in the sweep's `figures`, the same in TensorBoard, and there a run for each set of jobs that differ in their seed
alone, with the mean under the name that the jobs' own curves have.
"""

import csv
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from exp import event_file
from exp.figures import save

AXES = {"epoch": "epochs", "step": "updates", "samples": "samples", "seconds": "seconds"}
# Times as long as the shortest curve, from which on that one would be a dot.
_FAR = 20.0
# More curves than this in one chart are no comparison.
_MOST = 8
_BANDS, _PICTURES, _FIGURES = "seeds", "comparison", "figures"


# Of each column of metrics.csv the mean over the jobs at every evaluation, and the standard deviation (0 of one job).
Curves: TypeAlias = tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]


def compare(folder: Path, jobs: Mapping[str, Sequence[str]]) -> None:
    """Draw and write all of it anew, of the folders `jobs` in `folder` by what sets them apart: 'batching=full'."""
    curves = {name: curves_of([folder / job for job in found]) for name, found in jobs.items()}
    for stale in (_BANDS, _PICTURES, _FIGURES):
        shutil.rmtree(folder / stale, ignore_errors=True)
    if any(len(found) > 1 for found in jobs.values()):
        for name, (mean, deviation) in curves.items():
            if mean:
                event_file.write(folder / _BANDS / _file_name(name), _band(mean, deviation))
    if 1 < len(curves) <= _MOST:
        paths = list(_drawn(folder, jobs, curves))
        event_file.write(folder / _PICTURES, [event_file.picture(path.stem, path) for path in paths])


def _drawn(folder: Path, jobs: Mapping[str, Sequence[str]], curves: Mapping[str, Curves]) -> Iterator[Path]:
    for column, axis in AXES.items():
        path = folder / _FIGURES / f"loss_against_{axis}.png"
        save(against(curves, column, axis), path)
        yield path
    surfaces = {name: folder / found[0] / "figures" / "decision_surface.png" for name, found in jobs.items()}
    there = {name: path for name, path in surfaces.items() if path.exists()}
    if len(there) > 1:
        path = folder / _FIGURES / "decision_surfaces.png"
        save(side_by_side(there), path)
        yield path


def against(curves: Mapping[str, Curves], column: str, axis: str) -> Figure:
    """Validation loss of each set of jobs against one of metrics.csv's columns, with a band where there are seeds."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    chart = figure.subplots()
    for name, (mean, deviation) in curves.items():
        if mean:
            x, y, width = mean[column], mean["loss"], deviation["loss"]
            (line,) = chart.plot(x, y, label=name, marker="." if len(x) < 40 else "")
            chart.fill_between(x, y - width, y + width, color=line.get_color(), alpha=0.2, linewidth=0)
    ends = [float(mean[column][-1]) for mean, _ in curves.values() if mean]
    if max(ends) > _FAR * min(ends):  # a step of one takes longer than all of another
        after_start = [float(x) for mean, _ in curves.values() if mean for x in mean[column] if x > 0]
        chart.set_xscale("symlog", linthresh=min(after_start))
        chart.set_xlim(left=0)
    chart.set(xlabel=axis, ylabel="validation loss")
    chart.grid(alpha=0.3)
    chart.legend()
    return figure


def side_by_side(pictures: Mapping[str, Path]) -> Figure:
    """The pictures in rows of up to four, each under its name."""
    across = min(4, len(pictures))
    down = -(-len(pictures) // across)
    figure = Figure(figsize=(4.4 * across, 4 * down))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.08 / down, wspace=0.03)
    charts = figure.subplots(down, across, squeeze=False).flatten()
    for chart in charts:
        chart.axis("off")
    for chart, (name, path) in zip(charts, pictures.items(), strict=False):
        with Image.open(path) as picture:
            chart.imshow(np.asarray(picture))
        chart.set_title(name)
    return figure


def _val(job: Path) -> dict[str, list[float]]:
    """The columns of the job's validation rows."""
    columns: dict[str, list[float]] = {}
    with (job / "metrics.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row.pop("split") == "val":
                for name, value in row.items():
                    columns.setdefault(name, []).append(float(value or "nan"))
    return columns


def curves_of(folders: Sequence[Path]) -> Curves:
    """Mean and deviation over the jobs, at the steps that all of them were evaluated at."""
    jobs = [_val(folder) for folder in folders]
    common = sorted(set[float].intersection(*(set(job.get("step", ())) for job in jobs)))
    at = [[job["step"].index(step) for step in common] for job in jobs]
    stacked = {
        name: np.array([[job[name][index] for index in found] for job, found in zip(jobs, at, strict=True)])
        for name in (jobs[0] if common else ())
    }
    many = len(jobs) > 1
    return (
        {name: values.mean(0) for name, values in stacked.items()},
        {name: values.std(0, ddof=1) if many else 0 * values[0] for name, values in stacked.items()},
    )


def _band(mean: dict[str, NDArray[np.float64]], deviation: dict[str, NDArray[np.float64]]) -> Iterator[Any]:
    """TensorBoard's records of one set: the mean under the jobs' own tag, the band's ends, the chart of the three."""
    measures = [name for name in mean if name not in ("step", "epoch", "samples", "seconds")]
    yield event_file.margins(
        "mean of the seeds +- std",
        {f"{name}/val": (f"{name}/val", f"band/{name}/val - std", f"band/{name}/val + std") for name in measures},
    )
    for index, step in enumerate(mean["step"]):
        values: dict[str, float] = {}
        for name in measures:
            middle, width = float(mean[name][index]), float(deviation[name][index])
            values[f"{name}/val"] = middle
            values |= {f"band/{name}/val - std": middle - width, f"band/{name}/val + std": middle + width}
        yield event_file.scalars(values, int(step))


def _file_name(name: str) -> str:
    return re.sub(r"[^\w=.,+-]+", "_", name) or "all"
