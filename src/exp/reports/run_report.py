"""The page of a run: its config, metrics with confidence intervals, figures, scores by class, hardest rows, files."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from exp.config.allowlist import origin
from exp.config.metric_names import as_cost
from exp.config.overrides import option_names
from exp.config.python_names import find_names, python_call
from exp.data.batches import Position
from exp.data.splits import Split
from exp.errors import ConfigError, pluralize
from exp.reports import figures, html, importance_table
from exp.reports.hardest_rows import hardest_rows
from exp.reports.html import Table
from exp.reports.intervals import confidence_intervals
from exp.reports.render import render
from exp.reports.score_tables import score_table
from exp.results import importance_csv, metrics_csv, run_folder
from exp.results import summary as record
from exp.results.formatting import format_metric, other_checkpoint
from exp.results.run_folder import read_arguments
from exp.results.t_tests import Interval
from exp.training.baseline import compute_baseline
from exp.training.build import Experiment
from exp.training.events import Drawn, Noted
from exp.training.objectives import Objective
from exp.training.split_metrics import compute_metrics


def write_report(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    """Draw the figures of the finished run in `folder`, and write its page.

    A figure or page that cannot be written yields a note: it is no failure of the run.
    """
    yield from draw_and_save(folder, experiment, at)
    try:
        write_page(folder, experiment, "finished")
    except Exception as error:
        yield Noted(at, f"{run_folder.REPORT} could not be written: {error}")


def draw_and_save(folder: Path, experiment: Experiment, at: Position) -> Iterator[Drawn | Noted]:
    """Write the run's figures to `folder`/figures."""
    learner = experiment.learner
    for name, draw in figures.draw_figures(folder, experiment.data, experiment.objective, learner.predict):
        path = folder / run_folder.FIGURES / f"{name}.png"
        try:
            yield Drawn(at, name, path, *figures.save(draw(), path))
        except Exception as error:
            yield Noted(at, f"figures/{name}.png could not be drawn: {error}")


# Characters; of a longer log or config, the middle is left out.
_MAX_TEXT = 100_000


def write_page(folder: Path, experiment: Experiment | None, status: str, missing: str = "") -> None:
    """Write the page of the run in `folder`, which ended with `status`.

    Args:
        experiment: The run's experiment with its final parameters; without it, the page has only what the files say.
        missing: Why there is no experiment.
    """
    summary = record.read(folder)
    names = option_names(summary.get("choices", {}), list(map(str, summary.get("overrides", []))))
    final = summary.get("final")
    importances = importance_csv.read(folder)
    html.write(
        folder / run_folder.REPORT,
        "run.html",
        title=f"{names.get('dataset', 'run')}, {names.get('model', 'no model')}: {status}",
        folder=folder,
        command=rerun_command(folder, summary),
        status=status,
        error=summary.get("error"),
        missing=missing,
        described=summary.get("described", {}).items(),
        notes=dict.fromkeys(map(str, summary.get("notes", []))),
        pictures=html.read_pictures(folder / run_folder.FIGURES),
        importance=importance_table.section(importances) if importances else None,
        files={
            "config": _read(folder / run_folder.CONFIG),
            "log": _read(folder / run_folder.LOG),
            "machine": record.format_environment(folder),
        },
        **(
            _model_results(folder, experiment)
            if experiment is not None
            else {"metrics": final_table(summary) if final else None, "remark": "", "classes": None, "hardest": None}
        ),
    )


def render_cell(folder: str, summary: Mapping[str, Any], figures: Path) -> str:
    """Return the HTML that a notebook shows for a run: its status, its final metrics and its pictures."""
    return render(
        "run_cell.html",
        folder=folder,
        status=summary.get("status"),
        metrics=final_table(summary),
        pictures=html.read_pictures(figures),
    )


def rerun_command(folder: Path, summary: Mapping[str, Sequence[str]]) -> str:
    """Return the command line that repeats the run."""
    try:
        arguments = read_arguments(folder)
    except ConfigError:  # .hydra is damaged
        arguments = list(summary.get("overrides", []))
    named = r"^(?: *_target_:|metric:|-) *([^\W\d]\w*)\."  # - is an item of metrics, the only list at the top
    packages = re.findall(named, _read(folder / run_folder.CONFIG), re.MULTILINE)
    allowed = ",".join(dict.fromkeys(name for name in packages if origin(name) == "user"))
    if any(find_names(arguments)):
        return python_call("train", arguments)
    return f"{f'EXP_ALLOW={allowed} ' if allowed else ''}python -m exp {shlex.join(arguments)}"


def final_table(summary: Mapping[str, Any]) -> Table:
    """Return the final metrics of each split and of guessing in a summary; a cell without a metric is empty."""
    final = summary.get("final", {})
    splits: dict[str, Mapping[str, Any]] = {
        split: final[split] for split in ("train", "val", "test") if isinstance(final.get(split), dict)
    }
    names = list(dict.fromkeys(name for metrics in splits.values() for name in metrics))
    best, last = (summary.get(name, {}).get("val", {}) for name in ("best", "last"))
    val = splits.get("val", {})
    if last:
        splits |= other_checkpoint(val, last, is_restored=True)
    elif best:
        splits |= other_checkpoint(best, val, is_restored=False)
    if isinstance((metrics := summary.get("baseline", {}).get("metrics")), dict) and splits:
        splits[str(summary["baseline"].get("name"))] = metrics
    rows = [(split, *(format_metric(name, metrics.get(name)) for name in names)) for split, metrics in splits.items()]
    return Table(("", *names), rows)


def _splits(experiment: Experiment) -> dict[str, Split]:
    """Return train, val and test; a dataset that is not split is `all`."""
    data = experiment.data
    return data.splits if data.train is not data.val else {"all": data.train}


def _model_results(folder: Path, experiment: Experiment) -> dict[str, Any]:
    """Return what needs the model: metrics of each split, scores of each class, and the hardest rows."""
    splits = _splits(experiment)
    outputs = {name: experiment.learner.predict(split.x) for name, split in splits.items()}
    name, output = list(outputs.items())[-1]
    metrics, remark = _metrics(folder, experiment, outputs)
    return {
        "metrics": metrics,
        "remark": remark,
        "rows": "all rows" if name == "all" else f"{name} split",
        "classes": score_table(experiment, output),
        "scored": "label" if experiment.data.preprocessing.has_labels else "class",
        "hardest": _hardest(experiment, output),
    }


def _metrics(folder: Path, experiment: Experiment, outputs: Mapping[str, Tensor]) -> tuple[Table, str]:
    """Return the metrics of each split, with confidence intervals for test, and a remark about them."""
    objective, data = experiment.objective, experiment.data
    names = all_metrics(objective)
    held_out = data.held_out if data.train is not data.val else "train"
    table, _ = metric_rows(objective, _splits(experiment), outputs, held_out)
    rows = list(metrics_csv.read_rows(folder))
    step, seconds = (max(row.step for row in rows), rows[-1].seconds) if rows else (0, 0.0)
    plan = experiment.plan
    of_val = [row for row in rows if row.split == "val" and plan.metric in row.metrics]
    first_wins = of_val if plan.on_tie == "first" else of_val[::-1]
    best = min(first_wins, key=lambda row: as_cost(plan.metric, row.metrics[plan.metric]), default=None)
    last = max(of_val, key=lambda row: row.step, default=None)
    if best is not None and last is not None:
        for name, metrics in other_checkpoint(best.metrics, last.metrics, plan.restore_best).items():
            cells = (with_interval(metric, metrics.get(metric), None) for metric in names)
            table.append((name, *cells, f"{len(data.val):,}"))
    table.append(baseline_row(experiment, names))
    value = "" if best is None else format_metric(plan.metric, best.metrics[plan.metric])
    shown = "" if best is None else f"; {plan.best} was {value}, at step {best.step:,}"
    brackets = "" if held_out == "train" else f"In brackets: 95 % confidence intervals over samples of {held_out} rows."
    unit = "The loss is of the standardised target. " if experiment.data.preprocessing.target_scale else ""
    of_second = [name for name in ("auc", "average_precision") if name in names and len(data.classes or ()) == 2]
    second = f"Of the class {data.classes[1]}: {', '.join(of_second)}. " if data.classes and of_second else ""
    remark = f"{pluralize(step, 'step')} in {seconds:.3g} s{shown}. {unit}{second}{brackets}"
    return Table(("", *names, "rows"), table), remark


def all_metrics(objective: Objective) -> tuple[str, ...]:
    """Return the names of the metrics of a run."""
    return ("loss", *objective.metrics, *objective.chosen.names)


def metric_rows(
    objective: Objective, splits: Mapping[str, Split], outputs: Mapping[str, Tensor], held_out: str
) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    """Return a row with the metrics of each split, and those of the held-out rows by name.

    Args:
        outputs: Those of each split [N, K].
        held_out: The split whose metrics have intervals, unless it is the training rows.
    """
    rows, found = list[tuple[str, ...]](), dict[str, float]()
    for name, of_split in splits.items():
        output, split = outputs[name], of_split.to(outputs[name].device)
        values = compute_metrics(objective, output, split).values()
        intervals = confidence_intervals(split, objective, output) if name == held_out != "train" else {}
        cells = (with_interval(one, values.get(one), intervals.get(one)) for one in all_metrics(objective))
        rows.append((name, *cells, f"{len(split):,}"))
        found = values if name == held_out else found
    return rows, found


def baseline_row(experiment: Experiment, names: Sequence[str]) -> tuple[str, ...]:
    """Return the row of a guess that needs no model."""
    guess = compute_baseline(experiment.objective, experiment.data, experiment.data.held_out)
    cells = (with_interval(metric, guess.metrics.get(metric), None) for metric in names)
    return (guess.name, *cells, f"{guess.rows:,}")


def with_interval(name: str, value: float | None, interval: Interval | None) -> str:
    """Return a metric as text, with its interval in brackets; empty if there is none."""
    if value is None or interval is None:
        return "" if value is None else format_metric(name, value)
    low, high = (format_metric(name, end).removesuffix(" %") for end in interval)
    return f"{format_metric(name, value)} [{low}, {high}]"


def _hardest(experiment: Experiment, output: Tensor) -> Table:
    data = experiment.data
    how, hardest = hardest_rows(data.splits[data.held_out], data, experiment.objective, output)
    rows = [(f"{row.number:,}", row.true, row.predicted, row.how, row.unusual) for row in hardest]
    return Table(("row", "true", "predicted", how, "unusual features"), rows)


def _read(path: Path) -> str:
    """Return the text of the file, without the middle of a long one; empty if there is no such file."""
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text if len(text) < _MAX_TEXT else f"{text[: _MAX_TEXT // 2]}\n...\n{text[-_MAX_TEXT // 2 :]}"
