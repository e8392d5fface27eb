"""A run's report.html: what was run, metrics and how sure they are, pictures, classes, the worst rows, the files."""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from exp.data.batches import Position
from exp.data.splits import Split
from exp.errors import ConfigError, pluralize
from exp.reports import figures, html
from exp.reports.classification import confusion_counts, scores_by_class, truth_of
from exp.reports.hardest_rows import hardest_rows
from exp.reports.html import Table
from exp.reports.intervals import Interval, confidence_intervals
from exp.reports.render import render
from exp.results import metrics_csv, run_folder
from exp.results import summary as record
from exp.results.formatting import format_metric
from exp.results.run_folder import read_arguments
from exp.training.build import Experiment
from exp.training.events import Drawn, Noted
from exp.training.learner import compute_metrics


def write_report(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    """Draw the pictures of the run that finished in `folder`, and write its page.

    What cannot be drawn or written does not undo a run that was trained.
    """
    yield from draw_and_save(folder, experiment, at)
    try:
        write_page(folder, experiment, "finished")
    except Exception as error:
        yield Noted(at, f"{run_folder.REPORT} could not be written: {error}")


def draw_and_save(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    learner = experiment.learner
    for name, draw in figures.draw_figures(folder, experiment.data, experiment.objective, learner.predict):
        path = folder / "figures" / f"{name}.png"
        try:
            yield Drawn(at, name, path, *figures.save(draw(), path))
        except Exception as error:
            yield Noted(at, f"figures/{name}.png could not be drawn: {error}")


# More classes than these in a table, more of a log than that, are no reading matter.
_MOST_CLASSES = 50


_MOST_LOG = 100_000


def write_page(folder: Path, experiment: Experiment | None, status: str, missing: str = "") -> None:
    """The page of the run in `folder`, which ended with `status`: what its files tell, and its pictures.

    With the `experiment` as it was at the run's end also what the model tells of the rows; else why it is `missing`.
    """
    summary = record.read(folder)
    choices: dict[str, str] = summary.get("choices", {})
    final = summary.get("final")
    html.write(
        folder / run_folder.REPORT,
        "run.html",
        title=f"{choices.get('dataset', 'run')}, {choices.get('model', 'no model')}: {status}",
        folder=folder,
        command=_typed(folder, summary),
        status=status,
        error=summary.get("error"),
        missing=missing,
        described=summary.get("described", {}).items(),
        notes=dict.fromkeys(map(str, summary.get("notes", []))),
        pictures=html.read_pictures(folder / "figures"),
        files={
            "config": _read(folder / ".hydra" / "config.yaml"),
            "log": _read(folder / "exp.log"),
            "machine": record.format_environment(folder),
        },
        **(
            _model_results(folder, experiment)
            if experiment is not None
            else {"metrics": final_table(final) if final else None, "remark": "", "classes": None, "hardest": None}
        ),
    )


def render_cell(folder: str, summary: Mapping[str, Any], figures: Path) -> str:
    """Return the HTML that a notebook shows for a run: its status, its final metrics and its pictures."""
    return render(
        "run_cell.html",
        folder=folder,
        status=summary.get("status"),
        metrics=final_table(summary.get("final", {})),
        pictures=html.read_pictures(figures),
    )


def _typed(folder: Path, summary: Mapping[str, Sequence[str]]) -> str:
    """The line that makes such a run again."""
    try:
        words = read_arguments(folder)
    except ConfigError:  # the record is not whole
        words = list(summary.get("overrides", []))
    named = re.findall(r"^ *_target_: *(\w+)\.", _read(folder / ".hydra" / "config.yaml"), re.MULTILINE)
    own = ",".join(dict.fromkeys(name for name in named if name not in ("exp", "torch", "sklearn")))
    return f"{f'EXP_ALLOW={own} ' if own else ''}python -m exp {shlex.join(words)}"


def final_table(final: Mapping[str, Any]) -> Table:
    """The metrics of each split in a summary's `final`; a cell is empty where a split has none of that name."""
    known: dict[str, dict[str, Any]] = {
        split: final[split] for split in ("train", "val", "test") if isinstance(final.get(split), dict)
    }
    names = list(dict.fromkeys(name for metrics in known.values() for name in metrics))
    rows = [(split, *(format_metric(name, of.get(name)) for name in names)) for split, of in known.items()]
    return Table(("", *names), rows)


def _splits(experiment: Experiment) -> dict[str, Split]:
    """By name, the one that was kept aside last; without a split, all rows."""
    data = experiment.data
    return data.splits if data.train is not data.val else {"all": data.train}


def _model_results(folder: Path, experiment: Experiment) -> dict[str, Any]:
    """What the model tells of the rows: metrics of each split, scores of each class, the hardest rows."""
    splits = _splits(experiment)
    outputs = {name: experiment.learner.predict(split.x) for name, split in splits.items()}
    name, output = list(outputs.items())[-1]
    metrics, remark = _metrics(folder, experiment, outputs)
    return {
        "metrics": metrics,
        "remark": remark,
        "rows": "all rows" if name == "all" else "the test rows",
        "classes": _classes(experiment, output),
        "hardest": _hardest(experiment, output),
    }


def _metrics(folder: Path, experiment: Experiment, outputs: Mapping[str, Tensor]) -> tuple[Table, str]:
    """Each split's metrics under the parameters as they are, and of the rows kept aside how sure they are."""
    objective = experiment.objective
    names = ("loss", *objective.metrics)
    told: list[tuple[str, ...]] = []
    for name, split in _splits(experiment).items():
        values = compute_metrics(objective, outputs[name], split).values()
        sure = confidence_intervals(split, objective, outputs[name]) if name == "test" else {}
        cells = (_with_interval(metric, values.get(metric), sure.get(metric)) for metric in names)
        told.append((name, *cells, f"{len(split):,}"))
    told.append(_guess(experiment, names))
    rows = list(metrics_csv.read_rows(folder))
    step, seconds = (rows[-1].step, rows[-1].seconds) if rows else (0, 0.0)
    losses = ((row.metrics["loss"], row.step) for row in rows if row.split == "val" and "loss" in row.metrics)
    best = min(losses, default=None)
    lowest = f"; the lowest validation loss was {best[0]:.4g}, at step {best[1]:,}" if best else ""
    sure = "In brackets the 95 % confidence interval, had other rows of the same kind been kept aside."
    note = f"{pluralize(step, 'step')} in {seconds:.3g} s{lowest}. {sure if 'test' in outputs else ''}"
    return Table(("", *names, "rows"), told), note


def _guess(experiment: Experiment, names: Sequence[str]) -> tuple[str, ...]:
    """What the rows kept aside come to if one always says the commonest class, or the mean, of the training rows."""
    data = experiment.data
    if data.classes is not None:
        commonest = int(np.bincount(truth_of(data.train)).argmax())
        values = {"accuracy": float((truth_of(data.test) == commonest).mean())}
        what = f"always {data.classes[commonest]}"
    else:
        mean = data.train.y.mean(0, keepdim=True).expand_as(data.test.y)
        (score,) = experiment.objective.score(mean, data.test.y, [len(data.test)], data.test)
        values, what = score.values(), "always the mean"
    return (what, *(_with_interval(name, values.get(name), None) for name in names), f"{len(data.test):,}")


def _with_interval(name: str, value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return "" if value is None else format_metric(name, value)
    low, high = (format_metric(name, end).removesuffix(" %") for end in interval)
    return f"{format_metric(name, value)} [{low}, {high}]"


def _classes(experiment: Experiment, output: Tensor) -> Table | None:
    classes = experiment.data.classes
    if classes is None or len(classes) > _MOST_CLASSES:
        return None
    counts = confusion_counts(experiment.data.test, len(classes), experiment.objective, output)
    rows: list[tuple[str, ...]] = []
    for scores in scores_by_class(classes, counts):
        shares = (scores.precision, scores.recall, scores.f1)
        cells = ("" if math.isnan(share) else f"{100 * share:.1f} %" for share in shares)
        rows.append((scores.name, *cells, f"{scores.rows:,}"))
    return Table(("", "precision", "recall", "F1", "rows"), rows)


def _hardest(experiment: Experiment, output: Tensor) -> Table:
    data = experiment.data
    how, hardest = hardest_rows(data.test, data, experiment.objective, output)
    rows = [(f"{row.number:,}", row.true, row.predicted, row.how, row.unusual) for row in hardest]
    return Table(("row", "true", "predicted", how, "unusual about it"), rows)


def _read(path: Path) -> str:
    """The text there, without the middle of a long one; none if there is no such file."""
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text if len(text) < _MOST_LOG else f"{text[: _MOST_LOG // 2]}\n...\n{text[-_MOST_LOG // 2 :]}"
