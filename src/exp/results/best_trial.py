"""The folder of the best trial of a study, whose trials may be in the folders of several searches."""

import math
from collections.abc import Iterator
from pathlib import Path

from exp.config.metric_names import as_cost
from exp.errors import display_path, pluralize
from exp.results import search_json
from exp.results.formatting import format_metric
from exp.results.run_folder import is_sweep


def find_best_search(folder: Path) -> Path:
    """Return the folder of the search with the best trial of the study of the search in `folder`.

    It is `folder` itself for another sweep, and where that folder is not known or missing.
    """
    record = search_json.read(folder)
    if record is None or not record.best_folder:
        return folder
    other = Path(record.best_folder)
    return display_path(other) if other.resolve() != folder.resolve() and is_sweep(other) else folder


def best_trial_notes(folder: Path, place: Path, value: float) -> Iterator[str]:
    """Yield that the best choice, with this `value` of the metric, is in another folder, or that a trial was better."""
    record = search_json.read(folder)
    if record is None or record.best_value is None:
        return
    if place != folder:
        yield f"the best of the study's {pluralize(record.trials, 'trial')} is in {place}"
    name, best = record.metric.rpartition("/")[0], float(record.best_value)
    if as_cost(name, best) < as_cost(name, value) and not math.isclose(best, value, rel_tol=1e-6):
        began = f" (it began in {display_path(Path(record.best_folder))})" if record.best_folder else ""
        shown = f"{record.metric} {format_metric(record.metric, best)}"
        yield f"a trial of the study that is not in {place} was better, with {shown}{began}"
