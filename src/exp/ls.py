"""`exp ls`: every run and sweep below a folder."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.errors import pluralize
from exp.results.comparable import comparison_warnings
from exp.results.differing import shown_settings
from exp.results.formatting import printable, table_lines
from exp.results.listed import Listed
from exp.results.listing import Listing, list_runs
from exp.results.listing_rows import list_rows


@dataclass(frozen=True)
class RunList(Answer):
    """The runs and sweeps below `folder`."""

    folder: Path
    listing: Listing

    def document(self) -> Mapping[str, Any]:
        lines = self.listing.lines
        return {
            "folder": str(self.folder),
            "found": self.listing.found,
            "listed": len(lines),
            "sorted_by": self.listing.metric or "when",
            "differing": self.listing.differing,
            "warnings": self._warnings,
            "runs": [describe_listed(one, self.listing) for one in lines],
        }

    def lines(self) -> Iterator[str]:
        listing = self.listing
        if not listing.lines:
            found = f"{pluralize(self.listing.found, 'run')}, of which none passes the filters"
            yield f"{self.folder}: {found if self.listing.found else 'no runs'}"
            yield from (f"note: {text}" for text in self._warnings)
            return
        rows, left_out = _fit(list_rows(listing))
        columns = list(zip(*rows[1:], strict=True))
        left = {place for place, cells in enumerate(columns) if not all(map(_is_number, cells))}
        yield from map(printable, table_lines(rows, left))
        if left_out:
            yield f"left out, for the width of the terminal: {', '.join(left_out)}"
        if len(listing.lines) < listing.found:
            yield f"{len(listing.lines):,} of {listing.found:,}"
        yield from (f"note: {text}" for text in self._warnings)

    @property
    def _warnings(self) -> list[str]:
        listing = self.listing
        compared = [] if listing.metric is None else comparison_warnings(listing.lines, listing.metric)
        return [*listing.unreadable, *compared]


def describe_listed(one: Listed, listing: Listing) -> dict[str, Any]:
    """Return the object of one run in the JSON of a list."""
    settings, metric = shown_settings(one), listing.metric or one.metric
    return {
        "folder": one.folder,
        "kind": one.kind,
        "name": one.name,
        "notes": one.notes,
        "tags": list(one.tags),
        "began": one.began,
        "seconds": one.seconds,
        "status": one.status,
        "jobs": one.jobs,
        "best_job": one.best_job,
        "choices": one.choices,
        "overrides": {key: settings.get(key) for key in sorted(one.typed)},
        "values": {key: settings.get(key) for key in listing.differing},
        "metric": metric,
        "value": None if metric is None else one.metrics.get(metric),
        "metrics": one.metrics,
    }


def _is_number(text: str) -> bool:
    try:
        float(text.removesuffix(" %") or "0")
    except ValueError:
        return False
    return True


def _fit(rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Return the rows without the columns for which a terminal is too narrow, and the names of those columns."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    left_out: list[str] = []
    while width is not None and sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2 > width:
        spare = [place for place, name in enumerate(rows[0][:-1]) if name not in ("folder", "status")]
        if not spare:
            break
        place = spare[-1]
        left_out.insert(0, rows[0][place])
        rows = [[*row[:place], *row[place + 1 :]] for row in rows]
    return rows, left_out


def ls(folder: str = ".", /, *filters: str, sort: str | None = None, jobs: bool = False) -> RunList:
    """List the runs and sweeps below a folder, newest first.

        python -m exp ls

    A line has what differs between the runs, and only that: the options and values that a command line set, or that
    differ between runs with the same options. A sweep is one line: its best choice, with the means over
    its seeds and folds, and how many jobs finished. The metric is the one that decides (metric=, sweep.metric=). Hidden
    folders and links are not searched.

    Filters are written as overrides are, and all of them must hold: dataset=iris,wine status=finished
    'optimizer.lr<0.1' 'accuracy/val>=0.9' tag=paper 'when>=2026-11-01' 'name=base*'. The signs are = != < <= > >=. A
    key is one of the config, a group, a metric, or folder, name, tag, kind, status, when, seconds, notes or
    engine_used.

    Args:
        folder: Where to look; by default the current folder.
        filters: Which runs to list, such as dataset=iris 'optimizer.lr<0.1'.
        sort: Best first by a metric, such as accuracy/test; without one by the metric that decides.
        jobs: List the jobs of each sweep instead of the sweep.
    """
    return RunList(Path(folder), list_runs(Path(folder), filters, sort, jobs))


if __name__ == "__main__":
    run_command(ls, sys.argv[1:])
