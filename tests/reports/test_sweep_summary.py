"""The table of a sweep on the terminal: every column in a pipe, and what is left out in a narrow terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from exp.reports.sweep_summary import print_summary
from exp.results import terminal

_METRICS = {"loss/val": 0.5, "accuracy/val": 0.75, "loss/test": 0.4, "accuracy/test": 0.25}
ROWS = [
    {"job": str(job), "status": "finished", "model.hidden": "[8,8]", "optimizer.lr": lr, "seconds": 1.0, **_METRICS}
    for job, lr in enumerate((0.1, 0.2))
]


@pytest.mark.parametrize(
    ("is_terminal", "width", "columns"),
    [
        (False, 40, "job lr loss/val accuracy/val loss/test accuracy/test seconds"),
        (True, 100, "job lr loss/val accuracy/val loss/test accuracy/test seconds"),
        (True, 40, "job lr loss/val accuracy/val"),
        (True, 30, "job lr accuracy/test"),
    ],
)
def test_columns_that_do_not_fit_are_left_out_and_named(is_terminal: bool, width: int, columns: str, monkeypatch):
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=width, no_color=True, soft_wrap=True)
    monkeypatch.setattr(terminal, "make_console", lambda: console)
    print_summary(Path("sweep"), ROWS, "accuracy/test" if width == 30 else "loss/val")
    lines = output.getvalue().splitlines()
    plain = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in lines]
    assert plain[0].split() == columns.split()
    assert ("more columns: sweep/sweep.csv" in plain) == (is_terminal and width < 100)
