"""Output to a terminal, a notebook's cell, or neither; and a progress bar for the first two."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_REDRAWS = 0.1
_SECONDS_BETWEEN_LINES = 5.0
_CELL_WIDTH = 100  # in characters; a kernel does not know its notebook's width


def make_console(quiet: bool = False) -> Console:
    """Return a console for stdout; in a notebook it writes plain text, where rich would write HTML for each line."""
    if not in_notebook():
        return Console(highlight=False, soft_wrap=True, quiet=quiet)
    return _plain_console(width=_CELL_WIDTH, quiet=quiet)


def in_notebook() -> bool:
    """Return whether this process is a notebook's kernel; IPython in a terminal is not."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class ProgressBar:
    """A line that is redrawn in place and removed at the end; not shown where it cannot move.

    There, its owner may print a line now and then.
    """

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._in_notebook = in_notebook() and not console.quiet
        self.moves = console.is_terminal or self._in_notebook
        self._progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task: TaskID | None = None
        self._shown: Any = None  # IPython's handle of the output
        self._latest = time.perf_counter()  # when it was last due

    def start(self, total: int, completed: int = 0, **fields: Any) -> None:
        self._task = self._progress.add_task("", total=total, completed=completed, **fields)
        if self.moves and not self._in_notebook:
            self._progress.start()

    def update(self, completed: int, total: int | None = None, **fields: Any) -> None:
        """Redraw the bar. Call `start` first. None: the total is unchanged."""
        assert self._task is not None
        self._progress.update(self._task, completed=completed, total=total, **fields)
        if self._in_notebook:
            self._show(_render(self._progress.get_renderable()).rstrip())
        elif self.moves:
            self._progress.refresh()

    def is_due(self) -> bool:
        """Return whether to redraw the bar now or, where it cannot move, to print a line: not many times a second."""
        now = time.perf_counter()
        if now - self._latest <= (_SECONDS_BETWEEN_REDRAWS if self.moves else _SECONDS_BETWEEN_LINES):
            return False
        self._latest = now
        return True

    def stop(self) -> None:
        """Remove the bar."""
        if self._shown is not None:
            self._show("")
        elif self._task is not None and self.moves:
            self._progress.stop()

    def _show(self, line: str) -> None:
        """Replace the output of the cell. Without widgets, which a front end may not have."""
        from IPython.display import display  # pyright: ignore[reportUnknownVariableType]

        if self._shown is None:
            self._shown = display({"text/plain": line}, raw=True, display_id=True)
        else:
            self._shown.update({"text/plain": line}, raw=True)


@contextmanager
def show_progress(total: int) -> Generator[Callable[[int], None]]:
    """Yield a function to call with the number of steps done of `total`. The bar is shown where it can move."""
    columns = (BarColumn(10), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn(compact=True))
    bar = ProgressBar(make_console(), *columns)

    def show(done: int) -> None:
        if bar.moves and (bar.is_due() or done == total):
            bar.update(done)

    bar.start(total)
    try:
        yield show
    finally:
        bar.stop()


@contextmanager
def preparation_progress(quiet: bool = False) -> Generator[Callable[[int], None]]:
    """Yield a function to call with the percentage of the rows of a dataset that is prepared.

    It shows a bar, which is removed at the end, or a line now and then where the bar cannot move.
    """
    console = make_console(quiet)
    bar = ProgressBar(console, TextColumn("preparing rows"), BarColumn(10), TextColumn("{task.percentage:3.0f} %"))
    is_started = False

    def show(percentage: int) -> None:
        nonlocal is_started
        if not bar.is_due():
            return
        if not bar.moves:
            try:
                console.print(f"preparing rows: {percentage} %")
            except SystemExit:  # rich exits if the reader is gone, as with `| head`; the run continues
                console.quiet = True
            return
        if not is_started:
            bar.start(100)
            is_started = True
        bar.update(percentage)

    try:
        yield show
    finally:
        bar.stop()


def _render(what: RenderableType) -> str:
    text = StringIO()
    _plain_console(file=text, width=_CELL_WIDTH, color_system="256").print(what)
    return text.getvalue()


def _plain_console(**settings: Any) -> Console:
    """Return a console that is no terminal, even if FORCE_COLOR is set, as in kernels."""
    return Console(highlight=False, soft_wrap=True, force_jupyter=False, force_terminal=False, **settings)
