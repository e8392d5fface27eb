"""A progress bar is drawn in a terminal, and nowhere else."""

from io import StringIO

import pytest
from rich.console import Console

from exp.results import terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_in_a_terminal_only(is_terminal: bool, monkeypatch: pytest.MonkeyPatch):
    output = StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=80)
    monkeypatch.setattr(terminal, "make_console", lambda: console)
    with terminal.show_progress(4) as show:
        for done in range(1, 5):
            show(done)
    if is_terminal:
        assert "100 %" in output.getvalue()
    else:
        assert output.getvalue() == ""
