"""The lines of a help text, as wide as the terminal but at most 100 characters."""

import shutil
import textwrap
from collections.abc import Iterator

_MAX_WIDTH = 100


def screen_width() -> int:
    return min(_MAX_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 0)).columns)


def column_row(left: str, width: int, right: str) -> Iterator[str]:
    """Yield the lines of `left` in a column and `right`, wrapped, in the next one."""
    head = f"  {left:<{width}}" if len(left) < width else f"  {left}  "
    lines = textwrap.wrap(right, max(20, screen_width() - max(len(head), width + 2))) or [""]
    yield f"{head}{lines[0]}".rstrip()
    yield from (f"{'':<{width + 2}}{text}" for text in lines[1:])


def paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, screen_width())
