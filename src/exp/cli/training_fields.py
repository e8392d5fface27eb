"""What programs read of a run or sweep that this command trained: all that its table and notes tell people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exp.errors import ConfigError, display_path
from exp.results import repeats, summary, sweep_csv
from exp.results.job_rows import AllRows, find_notes, read_job_rows
from exp.results.run_folder import is_run, is_sweep, read_config, read_sweep_metric
from exp.results.run_status import read_run_status
from exp.results.sweep_csv import Row
from exp.results.sweep_status import read_sweep_status
from exp.results.ties import Ties, find_ties


def describe_training(folder: Path | None) -> dict[str, Any]:
    """Return the fields of the run or sweep in `folder`; only an empty `result` where nothing was trained."""
    if folder is None or not (is_run(folder) or is_sweep(folder)):
        return {"result": None}
    folder = display_path(folder)
    return _describe_sweep(folder) if is_sweep(folder) else _describe_run(folder)


def _describe_run(folder: Path) -> dict[str, Any]:
    content, status = summary.read(folder), read_run_status(folder)
    steps, planned = content.get("steps"), content.get("planned_steps")
    return {
        "result": status.fields(),
        "notes": content.get("notes", []),
        "engine_used": content.get("engine_used"),
        "baseline": content.get("baseline"),
        "best": _best(folder, content.get("best", {})),
        "stopped_early": None if status.status != "finished" or planned is None else steps != planned,
    }


def _best(folder: Path, best: dict[str, Any]) -> dict[str, Any] | None:
    """Return the best value of the metric that decides, on the validation rows or else the test rows."""
    try:
        name = read_config(folder).get("metric", "loss")
    except ConfigError:
        return None
    split = next((split for split in sweep_csv.SPLITS if name in best.get(split, {})), None)
    if split is None:
        return None
    return {"metric": f"{name}/{split}", "step": best[split].get("step"), "value": best[split][name]}


def _describe_sweep(folder: Path) -> dict[str, Any]:
    rows = list(sweep_csv.read_rows(folder).values())
    known, varied, metrics = (
        read_job_rows(folder, rows),
        repeats.find_varied_columns(rows),
        repeats.metric_columns(rows),
    )
    jobs = [
        {
            "folder": str(folder / str(row["job"])),
            "status": row["status"],
            "choices": {name: row[name] for name in varied if name in row},
            "metrics": {name: row[name] for name in metrics if name in row},
            "seconds": row["seconds"] if row["seconds"] != "" else None,
            "error": row["error"] or None,
        }
        for row in rows
    ]
    return {
        "result": read_sweep_status(folder).fields(),
        "notes": find_notes(known),
        "jobs": jobs,
        "means": _means(folder, rows, known),
    }


def _means(folder: Path, rows: Sequence[Row], known: AllRows) -> list[dict[str, Any]]:
    """Return mean, deviation and interval of every metric for each choice, the best first; empty without repeats."""
    metric, choices = read_sweep_metric(folder), repeats.choice_columns(rows)
    ties = find_ties(rows, metric, known)
    return [
        {
            "choices": {name: row[name] for name in choices},
            "n": row["n"],
            "lost": row["lost"],
            "is_best": _mark(ties, tuple(str(row[name]) for name in choices)),
            "difference": _difference(ties, tuple(str(row[name]) for name in choices)),
            "metrics": {name: _statistics(name, row) for name in row if repeats.is_metric(name)},
        }
        for row in repeats.sort_means(repeats.mean_rows(rows, known), metric)
    ]


def _statistics(name: str, row: Row) -> dict[str, Any]:
    others = {key: row[f"{name} {key}"] for key in ("std", "low", "high")}
    return {"mean": row[name], **{key: None if value == "" else value for key, value in others.items()}}


def _mark(ties: Ties | None, choice: tuple[str, ...]) -> str | None:
    return None if ties is None else ties.mark(choice) or None


def _difference(ties: Ties | None, choice: tuple[str, ...]) -> dict[str, Any] | None:
    one = None if ties is None else ties.differences.get(choice)
    if ties is None or one is None:
        return None
    low, high = one.interval or (None, None)
    return {"mean": one.mean, "low": low, "high": high, "level": ties.level}
