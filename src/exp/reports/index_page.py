"""The page of all runs and sweeps below a folder."""

import os
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from exp.config.overrides import shell_line
from exp.reports import html
from exp.reports.html import Link, Table
from exp.results import run_folder
from exp.results.listing import Listing
from exp.results.listing_rows import list_rows

# With more metrics that decide, they share a column.
_MAX_METRICS = 4


def write_page(folder: Path, listing: Listing) -> Path:
    """Write `folder`/report.html: a row for each run and sweep, with a link to its own page, and return its path."""
    head, *rows = list_rows(listing, _MAX_METRICS)
    notes = [one.notes or "" for one in listing.lines]
    has_notes = any(notes)
    cells = [
        [_link(folder, row[0]), *row[1:], *([text] if has_notes else [])] for row, text in zip(rows, notes, strict=True)
    ]
    counts = Counter(one.status for one in listing.lines).most_common()
    path = folder / run_folder.REPORT
    html.write(
        path,
        "index.html",
        title=f"{folder.absolute().name}: runs and sweeps ({len(listing.lines):,})",
        folder=folder,
        command=shell_line(["ls", str(folder)]),
        counts=", ".join(f"{count:,} {status}" for status, count in counts),
        table=Table([*head, *(["notes"] if has_notes else [])], cells),
    )
    return path


def _link(top: Path, folder: str) -> str | Link:
    """Return the folder below `top`, as a link to the run's own page if it has one."""
    below = os.path.relpath(folder, top)
    page = Path(folder) / run_folder.REPORT
    return Link(below, quote(f"{below}/{run_folder.REPORT}")) if page.exists() else below
