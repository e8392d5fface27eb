"""An HTML page that stands by itself: no script, style or picture from elsewhere, and every word of ours escaped."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from exp.results.atomic import replacement


class Html(str):
    """Markup. Any other text is no markup, and is escaped."""


def element(name: str, *inner: str, **attributes: str) -> Html:
    """<name attributes>inner</name>."""
    within = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{within}>{''.join(map(_escaped, inner))}</{name}>")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], sortable: bool = False) -> Html:
    """A table; a click on a column's head sorts it, if it is sortable."""
    top = element("thead", element("tr", *(element("th", name) for name in head))) if head else ""
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    made = element("table", Html(top), element("tbody", *body), class_="sortable" if sortable else "")
    return element("div", made, class_="wide")


def chapter(title: str, *parts: str) -> Html:
    return element("section", element("h2", title), *parts)


def folded(title: str, text: str) -> Html:
    """A title that opens on the text, as it was written."""
    return element("details", element("summary", title), element("pre", text))


def pictures(folder: Path) -> list[Html]:
    """The PNGs in `folder`, whole, in the order in which they were drawn."""
    found = (path for path in folder.glob("*.png") if not path.is_symlink())
    return [_picture(path) for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def _picture(path: Path) -> Html:
    data = base64.b64encode(path.read_bytes()).decode()
    name, style = html.escape(path.stem.replace("_", " ")), "max-width: 100%; max-height: 21rem"
    return Html(f'<img alt="{name}" style="{style}" src="data:image/png;base64,{data}">')


def write(path: Path, title: str, *parts: str) -> None:
    """The page at `path`, in one move."""
    head = [Html('<meta charset="utf-8">'), Html('<meta name="viewport" content="width=device-width">')]
    head += [element("title", title), element("style", Html(_STYLE))]
    body = element("body", element("h1", title), *parts, element("script", Html(_SORTING)))
    page = f"<!doctype html>\n{element('html', element('head', *head), body, lang='en')}\n"
    with replacement(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def _escaped(text: str) -> str:
    return text if isinstance(text, Html) else html.escape(text)


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #888; --back: #fff; --text: #222; --link: #0b57d0 }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --text: #dadce0; --link: #8ab4f8 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1.2rem;
  background: var(--back); color: var(--text) }
h1 { font-size: 1.5rem; margin-bottom: .3rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
a { color: var(--link) } p { margin: .4rem 0 } .quiet { color: var(--quiet) }
.as-is { white-space: pre-wrap } section, .wide { overflow-x: auto } td:last-child { min-width: 7rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600 } .sortable th { cursor: pointer; white-space: nowrap }
.sortable th[aria-sort=ascending]::after { content: " \\2191" }
.sortable th[aria-sort=descending]::after { content: " \\2193" }
img { border-radius: 6px; margin: .3rem .6rem .3rem 0; vertical-align: top }
pre, code { font: 13px/1.5 ui-monospace, monospace }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line) }
@media (max-width: 600px) { img { max-width: none !important } td:last-child { min-width: 12rem } }
details { margin: .5rem 0 } summary { cursor: pointer } svg { max-width: 100%; height: auto; margin-right: 1rem }
svg text { fill: currentColor; font: 11px system-ui, sans-serif } svg .axis { stroke: var(--line) }
"""


# Numbers by their size, all else by the alphabet; a cell that is empty comes last.
_SORTING = """
for (const th of document.querySelectorAll(".sortable th")) th.onclick = () => {
  const up = th.ariaSort !== "ascending", body = th.closest("table").tBodies[0], at = th.cellIndex;
  for (const other of th.parentNode.cells) other.ariaSort = null;
  th.ariaSort = up ? "ascending" : "descending";
  const key = row => row.cells[at].textContent;
  const order = (a, b) => !key(a) - !key(b) || (up ? 1 : -1) *
    (parseFloat(key(a)) - parseFloat(key(b)) || key(a).localeCompare(key(b), undefined, {numeric: true}));
  body.append(...[...body.rows].sort(order));
};
"""
