"""A progress bar is drawn in a terminal, and nowhere else."""

from io import StringIO
from itertools import count

import pytest
from rich.console import Console

from exp.results import terminal
from exp.results.formatting import table_lines


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


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("seconds", [0.01, 10.0])
def test_a_long_preparation_is_shown(seconds: float, is_terminal: bool, monkeypatch: pytest.MonkeyPatch):
    output, times = StringIO(), count(0.0, seconds)
    console = Console(file=output, force_terminal=is_terminal, width=80)
    monkeypatch.setattr(terminal, "make_console", lambda _: console)
    monkeypatch.setattr(terminal.time, "perf_counter", lambda: next(times))
    with terminal.preparation_progress() as show:
        show(34)
        show(80)
    lines = "preparing rows: 34 %\npreparing rows: 80 %\n"
    if seconds < 1:  # as of small datasets
        assert output.getvalue() == ""
    elif is_terminal:
        assert "preparing rows" in output.getvalue()
        assert "34 %" in output.getvalue()
    else:
        assert output.getvalue() == lines


def test_columns_are_aligned_by_the_width_of_their_letters_on_a_terminal():
    rows = [("column", "importance"), ("\u5e74\u9f62", "0.5"), ("age", "0.25")]  # two letters of two cells each
    assert table_lines(rows) == ["column  importance", "\u5e74\u9f62           0.5", "age           0.25"]
