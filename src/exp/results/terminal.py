"""What a person looks at: a terminal, a notebook's cell, or neither; and a bar that moves in place on the first two."""

import sys
from io import StringIO
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, TaskID

_WIDTH_OF_A_CELL = 100  # in characters; a kernel cannot ask its notebook


def make_console(quiet: bool = False) -> Console:
    """One to stdout, which in a notebook is written as it is: rich would make HTML of each line, far from the next."""
    if not in_notebook():
        return Console(highlight=False, soft_wrap=True, quiet=quiet)
    return _without_a_terminal(width=_WIDTH_OF_A_CELL, quiet=quiet)


def in_notebook() -> bool:
    """Whether this process is a kernel, whose outputs a notebook shows; IPython in a terminal is a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def plain(what: RenderableType) -> str:
    """The words alone, whatever the environment says of colours."""
    return _written(what, 120, None)


class ProgressBar:
    """One line that moves in place, and is gone at its end. Nothing of it is seen where it could not move."""

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._in_notebook = in_notebook() and not console.quiet
        self.moves = console.is_terminal or self._in_notebook
        self._progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task: TaskID | None = None
        self._shown: Any = None  # IPython's handle of what the notebook shows

    def start(self, total: int, completed: int = 0, **fields: Any) -> None:
        self._task = self._progress.add_task("", total=total, completed=completed, **fields)
        if self.moves and not self._in_notebook:
            self._progress.start()

    def update(self, completed: int, **fields: Any) -> None:
        """Draw it anew. Starting comes first."""
        assert self._task is not None
        self._progress.update(self._task, completed=completed, **fields)
        if self._in_notebook:
            self._show(_written(self._progress.get_renderable(), _WIDTH_OF_A_CELL, "256").rstrip())
        elif self.moves:
            self._progress.refresh()

    def stop(self) -> None:
        """Take it away."""
        if self._shown is not None:
            self._show("")
        elif self._task is not None and self.moves:
            self._progress.stop()

    def _show(self, line: str) -> None:
        """Without widgets, which a front end may not have: one output of the cell, which is replaced."""
        from IPython.display import display  # pyright: ignore[reportUnknownVariableType]

        if self._shown is None:
            self._shown = display({"text/plain": line}, raw=True, display_id=True)
        else:
            self._shown.update({"text/plain": line}, raw=True)


def _written(what: RenderableType, width: int, colours: Literal["256"] | None) -> str:
    written = StringIO()
    _without_a_terminal(file=written, width=width, color_system=colours).print(what)
    return written.getvalue()


def _without_a_terminal(**settings: Any) -> Console:
    """Told so, because FORCE_COLOR, which kernels set, would have rich take anything for a terminal."""
    return Console(highlight=False, soft_wrap=True, force_jupyter=False, force_terminal=False, **settings)
