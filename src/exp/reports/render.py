"""Render the templates in `templates/`. Those that end in .html or .svg escape their values."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).with_name("templates")


def render(name: str, **values: Any) -> str:
    """Return the text of the template `name`, which must use no other names than `values`."""
    return environment().get_template(name).render(values)


@cache
def environment() -> "Environment":
    """Return jinja2's environment of the templates."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # lazy: see test_start_up.py

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html", "svg")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["breakable"] = _breakable  # pyright: ignore[reportArgumentType]
    return made


def _breakable(name: str) -> "Markup":
    """Return a key or a metric, escaped, that may continue on another line after each of its parts."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[./_])", "<wbr>", str(escape(name))))
