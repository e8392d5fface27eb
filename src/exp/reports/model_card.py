"""The model card of a run, after the sections of Hugging Face's: only what is known; the rest is left to its author."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import yaml

from exp.data.columns.category import CategoryColumn
from exp.data.columns.column import Column, Floats
from exp.data.columns.date import DateColumn
from exp.data.columns.date_formats import DESCRIBED, TIME
from exp.data.columns.number import BooleanColumn
from exp.data.columns.parse_dates import DATETIME
from exp.errors import join_words, pluralize, quote_words, shorten
from exp.reports.classification import Reliability
from exp.reports.html import Table
from exp.reports.render import render
from exp.reports.run_report import all_metrics, baseline_row, metric_rows, rerun_command
from exp.reports.score_tables import score_table
from exp.results import summary as record
from exp.results.trained_model import TrainedModel
from exp.training.objectives import Binary, Multiclass

# More columns, or levels of a column, are counted and not listed.
_MAX_COLUMNS, _MAX_LEVELS = 60, 12

# What the summary of a run that did not end, or of an older version, may lack.
_UNKNOWN: dict[str, Any] = {
    **{key: {} for key in ("described", "decided", "environment")},
    **dict.fromkeys(("data_sha256", "split_sha256", "seed", "status"), "unknown"),
    **dict.fromkeys(("notes", "steps", "seconds", "parameters")),
}

_TAGS = {"classes": "tabular-classification", "labels": "tabular-classification", "numbers": "tabular-regression"}


def model_card(trained: TrainedModel) -> str:
    """Return the card as Markdown, whose YAML header Hugging Face's tools read.

    Raises:
        DataError: The rows of the run are missing or differ: their ranges and the intervals of metrics are unknown.
    """
    experiment, preprocessing = trained.experiment, trained.preprocessing
    summary: Mapping[str, Any] = {**_UNKNOWN, **record.read(trained.folder)}
    data, name = experiment.data, summary.get("about", {}).get("name") or trained.folder.resolve().name
    parts = {key: split for key, split in data.splits.items() if key == "train" or data.train is not data.val}
    outputs = {key: trained.outputs_of(split) for key, split in parts.items()}
    held_out = data.held_out if len(parts) > 1 else "train"
    names, (rows, found) = all_metrics(trained.objective), metric_rows(trained.objective, parts, outputs, held_out)
    table = Table(("", *names, "rows"), [*rows, baseline_row(experiment, names)])
    of_classes = score_table(replace(experiment, objective=trained.objective), outputs[held_out])
    columns = list(_describe_columns(trained))
    return render(
        "model_card.md.jinja",
        header=_header(trained, name, held_out, found),
        title=name,
        summary=summary,
        notes=summary.get("about", {}).get("notes"),
        target=preprocessing.target,
        kind=preprocessing.target_kind,
        classes=preprocessing.classes or (),
        first_classes=join_words(map(str, (preprocessing.classes or ())[:50])),
        columns=_as_markdown(Table(("column", "kind", "training rows", "gaps"), columns[:_MAX_COLUMNS])),
        more_columns=len(columns) - _MAX_COLUMNS,
        splits={key: len(split) for key, split in parts.items()},
        metrics=_as_markdown(table),
        held_out=held_out,
        is_scaled=preprocessing.target_scale is not None,
        by_class=None if of_classes is None else _as_markdown(of_classes),
        scored="label" if preprocessing.has_labels else "class",
        calibration=_calibration(trained, outputs[held_out], held_out),
        parameters=trained.parameters,
        step=trained.step,
        folder=str(trained.folder),
        has_test_file=trained.config.dataset.get("test_path") is not None,
        command=rerun_command(trained.folder, summary),
        model=repr(trained.model),
        exp=version("exp"),
    )


def _header(trained: TrainedModel, name: str, held_out: str, values: Mapping[str, float]) -> str:
    """Return the YAML header: what Hugging Face's tools call the task, and the metrics of the held-out rows."""
    shape, kind = trained.preprocessing.shape, trained.preprocessing.target_kind.kind
    tag = "image-classification" if len(shape) == 3 and kind != "numbers" else _TAGS[kind]
    known = {key: value for key, value in values.items() if np.isfinite(value)}
    source = str(trained.config.dataset.get("path") or trained.config.dataset["_target_"])
    metrics = [{"type": key, "value": float(value), "name": f"{held_out} {key}"} for key, value in known.items()]
    result = {
        "task": {"type": tag},
        "dataset": {"type": source, "name": source, "split": held_out},
        "metrics": metrics,
    }
    header = {
        "library_name": "pytorch",
        "pipeline_tag": tag,
        "metrics": [key for key in known if key != "loss"],
        "model-index": [{"name": name, "results": [result]}],
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True).rstrip()


def _describe_columns(trained: TrainedModel) -> Iterator[tuple[str, str, str, str]]:
    """Yield the name, the kind, the range or the levels, and the share of gaps of each column in the training rows."""
    preprocessing = trained.preprocessing
    first = 0
    train = trained.experiment.data.train.x.cpu().double().numpy()
    restored = preprocessing.restore(train)
    for column in preprocessing.columns:
        places = slice(first, first + len(column.features))
        first += len(column.features)
        has_gaps = column.features[-1].endswith("=(missing)")
        gaps = f"{100 * train[:, places.stop - 1].mean():.1f} %" if has_gaps else ""
        yield column.name, column.kind, _describe_values(column, restored[:, places]), gaps


def _describe_values(column: Column, values: Floats) -> str:
    """Return the range of features [N, K] of a column, which are in their own units, or its levels."""
    if isinstance(column, CategoryColumn):
        listed = shorten(quote_words(column.categories[:_MAX_LEVELS]), len(column.categories), _MAX_LEVELS)
        rare = f"; {column.rare} rare ones share a feature" if column.rare else ""
        return f"{pluralize(len(column.categories), 'level')}: {listed}{rare}"
    if isinstance(column, BooleanColumn):
        return f"{100 * values[:, 0].mean():.1f} % true"
    if isinstance(column, DateColumn):
        written = f"written as {DESCRIBED[column.format]}" if column.format != DATETIME else ""
        if column.format == TIME or "days" not in column.parts:
            return written
        days = column.first + values[:, column.parts.index("days")]
        start, end = (np.datetime64(int(np.floor(day + 1e-6)), "D") for day in (days.min(), days.max()))
        return ", ".join(filter(None, (f"{start} to {end}", written)))
    return f"{values[:, 0].min():.6g} to {values[:, 0].max():.6g}"


def _calibration(trained: TrainedModel, output: Any, held_out: str) -> str:
    """Return a sentence on the calibration of the probabilities; empty if there are none."""
    objective = trained.objective
    if not isinstance(objective, Multiclass | Binary) or (shares := objective.probabilities(output)) is None:
        return ""
    split = trained.experiment.data.splits[held_out]
    predicted = objective.prediction(output).numpy()
    sure = shares.double().numpy()[np.arange(len(predicted)), predicted]
    error = Reliability.of(sure, predicted == split.class_numbers, split.row_weights).error
    how = "The probabilities are calibrated on the validation rows. " if trained.calibration is not None else ""
    return (
        f"{how}On the {held_out} rows the expected calibration error is {error:.4f}: the mean distance between the "
        "probability of the predicted class, in ten bins, and the share of right predictions."
    )


def _as_markdown(table: Table) -> str:
    """Return a table in Markdown."""
    lines = [tuple(map(str, row)) for row in (table.head, ["---"] * len(table.head), *table.rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
