"""A list of runs as the cells of a table, on the terminal and on a page."""

from collections import Counter
from pathlib import Path

from exp.errors import as_yaml
from exp.results.differing import short_names, shown_settings
from exp.results.filters import known_keys
from exp.results.formatting import format_metric
from exp.results.listed import Listed
from exp.results.listing import Listing

# The columns before and after those of what differs. The metrics are behind them.
_HEAD = ("folder", "name", "when", "dataset", "model")
_TAIL = ("status", "jobs", "tags")

# Longer values are shortened.
_MAX_WIDTH = 40


def list_rows(listing: Listing, max_metrics: int = 1) -> list[list[str]]:
    """Return the head of the table and a row for each run, without columns that are empty in all rows.

    Args:
        max_metrics: With so many metrics that decide, each has a column; more share one, with their names in its cells.
    """
    metrics = _find_metrics(listing)
    is_shared = len(metrics) > max_metrics
    keys = [key for key in listing.differing if not is_shared or key != "metric"]  # the last column has it
    names = short_names(keys, [*known_keys(listing.lines), *_HEAD, *_TAIL])
    rows = [[*_HEAD, *names.values(), *_TAIL, *(["metric"] if is_shared else metrics)]]
    for one in listing.lines:
        settings = shown_settings(one)
        choices = (one.choices.get("dataset", ""), one.choices.get("model", ""))
        head = (one.folder, _shorten(one.name or ""), one.when, *choices)
        values = (_shorten(as_yaml(settings[key])) if settings.get(key) is not None else "" for key in names)
        tail = (one.status, _describe_jobs(one), " ".join(one.tags))
        measured = [_format_own(one)] if is_shared else [format_metric(name, one.metrics.get(name)) for name in metrics]
        rows.append([*head, *values, *tail, *measured])
    kept = [place for place in range(len(rows[0])) if place == 0 or any(row[place] for row in rows[1:])]
    return [[row[place] for place in kept] for row in rows]


def _find_metrics(listing: Listing) -> list[str]:
    """Return the metric that the list is sorted by, or those that decide in the runs, the most frequent first."""
    if listing.metric is not None:
        return [listing.metric]
    return [name for name, _ in Counter(one.metric for one in listing.lines if one.metric is not None).most_common()]


def _describe_jobs(one: Listed) -> str:
    """Return how many jobs of a sweep finished, and which is the best: 11/12, best 3."""
    if one.jobs is None:
        return ""
    best = "" if one.best_job is None else f", best {Path(one.best_job).name}"
    return f"{one.jobs['finished']:,}/{one.jobs['all']:,}{best}"


def _format_own(one: Listed) -> str:
    """Return the metric that decides in this run, with its name."""
    return "" if one.metric is None or one.value is None else f"{one.metric} {format_metric(one.metric, one.value)}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"
