"""HTML pages that stand by themselves: no script, style or picture from elsewhere, and every value escaped."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exp.reports.render import render
from exp.results.atomic import replacement


class Link(NamedTuple):
    """A cell that links to `href`, relative to the page."""

    text: str
    href: str


class Table(NamedTuple):
    head: Sequence[str]
    rows: Iterable[Sequence[str | Link]]


class Picture(NamedTuple):
    """A PNG, base64-encoded."""

    name: str
    data: str


def read_pictures(folder: Path) -> list[Picture]:
    """Read the PNGs in `folder`, without links, in the order in which they were written."""
    paths = sorted((path for path in folder.glob("*.png") if not path.is_symlink()), key=lambda p: p.stat().st_mtime_ns)
    return [Picture(path.stem.replace("_", " "), base64.b64encode(path.read_bytes()).decode()) for path in paths]


def write(path: Path, template: str, **values: Any) -> None:
    """Render `template` and replace the page at `path` in one move."""
    page = render(template, **values)
    with replacement(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
