"""The result of a search for the terminal: the command line of its best trial, and the importance of each key."""

from pathlib import Path

from exp.reports.html import Table
from exp.results import search_json
from exp.results.formatting import format_metric
from exp.results.search_json import SearchRecord


def describe_search(folder: Path) -> list[tuple[str, str]]:
    """Return the lines for the terminal about the search in `folder`, with their titles; none for another sweep."""
    record = search_json.read(folder)
    if record is None or record.best_value is None:
        return []
    lines = [
        ("search", f"best {record.metric} {format_metric(record.metric, record.best_value)}: {record.best_command}")
    ]
    if record.importances:
        shares = ", ".join(f"{key} {_format_share(share)}" for key, share in record.importances.items())
        lines.append(("", f"importance: {shares}"))
    return lines


def importances_table(record: SearchRecord | None) -> Table | None:
    """Return the importance of each searched key for the page; None if it is not known."""
    if record is None or not record.importances:
        return None
    return Table(("key", "importance"), [(key, _format_share(share)) for key, share in record.importances.items()])


def _format_share(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.0f} %"
