"""Compare the jobs of a sweep: loss curves against four axes, decision surfaces, and a band for each set of repeats.

The figures are PNGs in the sweep's `figures`, and in TensorBoard. There, each set of jobs that differ only in their
seed or fold is also a run, whose mean has the tag of the jobs' own curves.
"""

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.reports.mean_curves import mean_curves
from exp.results import event_file
from exp.results.run_folder import COMPARISON, FIGURES, FOLD_BANDS, SEED_BANDS

# More curves in one chart cannot be distinguished.
_MAX_COMPARED = 8

# Of a name in the file systems of Linux, macOS and Windows.
_MAX_BYTES = 255


def compare(folder: Path, jobs: Mapping[str, Sequence[str]], repeated: str, has_figures: bool) -> None:
    """Write the comparison anew.

    Args:
        jobs: The jobs' folders in `folder`, by the choices of their set: 'batching=full'.
        repeated: What varies in a set: "seeds", "folds", "seeds and folds".
        has_figures: Whether to draw figures of a few sets.
    """
    curves = {name: mean_curves([folder / job for job in names]) for name, names in jobs.items()}
    for stale in (SEED_BANDS, FOLD_BANDS, COMPARISON, FIGURES):
        shutil.rmtree(folder / stale, ignore_errors=True)
    if any(len(names) > 1 for names in jobs.values()):
        bands = folder / (FOLD_BANDS if "folds" in repeated else SEED_BANDS)
        for place, (mean, deviation) in zip(_file_names(curves), curves.values(), strict=True):
            if mean:
                event_file.write(bands / place, _band(mean, deviation, repeated))
    if has_figures and 1 < len(curves) <= _MAX_COMPARED:
        from exp.reports.comparison_figures import draw_comparison

        paths = list(
            draw_comparison(folder / FIGURES, curves, {name: folder / names[0] for name, names in jobs.items()})
        )
        if paths:  # without validation rows there may be nothing to draw
            event_file.write(folder / COMPARISON, [event_file.picture(path.stem, path) for path in paths])


def _band(
    mean: dict[str, NDArray[np.float64]], deviation: dict[str, NDArray[np.float64]], repeated: str
) -> Iterator[Any]:
    """Yield TensorBoard's records of one set: the mean, both ends of the band, and a chart of the three."""
    metrics = [name for name in mean if name not in ("step", "epoch", "samples", "seconds")]
    yield event_file.margins(
        f"mean of the {repeated} +- std",
        {f"{name}/val": (f"{name}/val", f"band/{name}/val - std", f"band/{name}/val + std") for name in metrics},
    )
    for index, step in enumerate(mean["step"]):
        values: dict[str, float] = {}
        for name in metrics:
            middle, width = float(mean[name][index]), float(deviation[name][index])
            values[f"{name}/val"] = middle
            values |= {f"band/{name}/val - std": middle - width, f"band/{name}/val + std": middle + width}
        yield event_file.scalars(values, round(float(step)))


def _file_names(names: Iterable[str]) -> list[str]:
    """Return the name of the file for each of the names: one of its own, also if that is long or has other marks."""
    readable = {name: re.sub(r"[^\w=.,+-]+", "_", name) or "all" for name in names}
    count = Counter(readable.values())
    return [
        text if count[text] == 1 and len(os.fsencode(text)) <= _MAX_BYTES else f"{_shorten(text)}-{_digest(name)}"
        for name, text in readable.items()
    ]


def _shorten(text: str) -> str:
    return os.fsencode(text)[: _MAX_BYTES // 2].decode(errors="ignore")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
