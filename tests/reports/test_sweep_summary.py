"""The table of a sweep on the terminal: every column in a pipe, and what is left out in a narrow terminal."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from exp.reports.sweep_report import SweepResults, write_page
from exp.reports.sweep_summary import print_summary
from exp.results import terminal
from exp.results.formatting import format_interval
from exp.results.job_rows import find_notes, read_job_rows

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


def repeated(folder: Path, losses: dict[str, list[float]]) -> list[dict[str, object]]:
    """Return the rows of a sweep over folds with these validation losses, and write where its jobs' rows are."""
    rows: list[dict[str, object]] = []
    for lr, values in losses.items():
        for fold, loss in enumerate(values):
            job = str(len(rows))
            (folder / job).mkdir()
            content = {"data_sha256": "a", "split_sha256": str(fold), "rows": {"train": 60, "val": 20, "test": 20}}
            (folder / job / "summary.json").write_text(json.dumps(content))
            metrics = {"loss/val": loss, "accuracy/val": 0.75, "loss/test": loss, "accuracy/test": 0.25}
            rows.append({"job": job, "status": "finished", "lr": lr, "fold": fold, "seconds": 1.0, **metrics})
    return rows


CLEAR = {"0.1": [0.1, 0.11, 0.12], "1": [0.9, 0.92, 0.93]}
CLOSE = {"0.1": [0.1, 0.11, 0.12], "1": [0.09, 0.12, 0.14]}


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (110, "lr n best? loss/val interval accuracy/val loss/test accuracy/test"),
        (80, "lr n best? loss/val interval accuracy/val"),
        (60, "lr n best? loss/val interval"),
    ],
)
def test_the_terminal_marks_the_best_choices(width: int, columns: str, tmp_path: Path, monkeypatch):
    lines = []
    for losses in (CLEAR, CLOSE):
        monkeypatch.chdir(tmp_path)
        folder = Path(str(len(lines)))
        folder.mkdir()
        output = io.StringIO()
        console = Console(file=output, force_terminal=True, width=width, no_color=True, soft_wrap=True)
        monkeypatch.setattr(terminal, "make_console", lambda console=console: console)
        print_summary(folder, repeated(folder, losses), "loss/val")
        lines.append([line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in output.getvalue().splitlines()])
    for folder_name, printed in enumerate(lines):
        assert printed[0].replace("95 % interval", "interval").split() == columns.split()
        assert max(map(len, printed[:3])) <= width
        assert (f"more columns: {folder_name}/folds.csv" in printed) == (width < 110)
    clear, close = lines
    assert [line.split()[:3] for line in clear[1:3]] == [["0.1", "3", "yes"], ["1", "3", "no"]]
    assert [line.split()[:3] for line in close[1:3]] == [["0.1", "3", "maybe"], ["1", "3", "maybe"]]
    test = "paired t-test over 3 folds, corrected for shared rows, 95 %"
    assert f"best      lr=0.1; the other choice is worse ({test})" in clear
    assert f"best      one of the 2 marked maybe ({test})" in close


def test_the_report_says_what_the_terminal_says(tmp_path: Path):
    results = SweepResults(tmp_path, repeated(tmp_path, CLEAR), "loss/val")
    table = results.answer()
    assert table is not None
    assert table.head[:5] == ("lr", "n", "best?", "loss/val", "95 % interval")
    assert [row[:3] for row in table.rows] == [("0.1", "3", "yes"), ("1", "3", "no")]
    assert results.verdict().startswith("Best: lr=0.1; the other choice is worse (paired t-test over 3 folds")


def test_what_all_jobs_note_is_printed_once_and_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = repeated(tmp_path, CLEAR)
    for row in rows:
        path = tmp_path / str(row["job"]) / "summary.json"
        notes = ["left out 5 of 60 rows: y is empty", *(["of job 1"] * (row["job"] == "1"))]
        path.write_text(json.dumps({**json.loads(path.read_text()), "notes": notes}))
    print_summary(tmp_path, rows, "loss/val")
    assert capsys.readouterr().out.count("note      left out 5 of 60 rows: y is empty\n") == 1
    write_page(tmp_path, [{**row, "error": None} for row in rows])
    page = (tmp_path / "report.html").read_text()
    assert page.count("left out 5 of 60 rows: y is empty") == 1
    assert "of job 1" not in page


def test_failed_jobs_are_followed_by_what_mends_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = repeated(tmp_path, {"0.1": [0.1, 0.2, 0.3, 0.4]})
    for row, error in zip(rows[1:], ["no column 'yy'\n  try: dataset.target=y"] * 2 + ["killed"], strict=True):
        row |= {"status": "failed", "error": error.partition("\n")[0]}
        (tmp_path / str(row["job"]) / "summary.json").write_text(json.dumps({"status": "failed", "error": error}))
    print_summary(tmp_path, rows, "loss/val")
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("try       dataset.target=y") == 1
    assert f"again     python -m exp -m sweep.resume={tmp_path}" in lines
    print_summary(tmp_path, rows[:-1], "loss/val")
    assert "again  " not in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 2])
def test_the_report_of_choices_without_repeats_says_what_to_add(count: int, tmp_path: Path):
    """Of a single job there is nothing to compare."""
    verdict = SweepResults(tmp_path, ROWS[:count], "loss/val").verdict()
    assert ("seed=range(0,5) or folds=5" in verdict) == (count == 2)


@pytest.mark.parametrize(
    ("name", "low", "high", "expected"),
    [
        ("loss/val", 0.11194, 0.20025, "0.112 to 0.200"),
        ("loss/val", -0.03946, 0.179, "-0.04 to 0.18"),
        ("loss/test", -0.00019, 0.1666, "0.00 to 0.17"),
        ("accuracy/test", 0.9247, 0.99939, "92.5 to 99.9 %"),
        ("rmse/val", 10345.4, 11578.6, "10345 to 11579"),
        ("r2/val", 0.999612, 0.999684, "0.999612 to 0.999684"),
        ("loss/val", 1.0, 3e30, "1 to 3e+30"),
    ],
)
def test_an_interval_has_two_digits_of_its_width(name: str, low: float, high: float, expected: str):
    assert format_interval(name, (low, high)) == expected
    assert format_interval(name, None) == ""


def test_jobs_that_fell_back_to_another_engine_are_counted(tmp_path: Path):
    pairs = [("compiled", "compiled"), ("compiled", "replay"), ("compiled", "replay"), ("compiled", "eager")]
    pairs += [("replay", "replay"), ("replay", "eager"), ("auto", "eager"), ("", "")]  # the last of an earlier version
    for job, (asked, used) in enumerate(pairs):
        (tmp_path / str(job)).mkdir()
        content = {"engine": asked, "engine_used": used, "notes": ["all say it", f"engine={used} is in use: {job}"]}
        (tmp_path / f"{job}/summary.json").write_text(json.dumps(content))
    known = read_job_rows(tmp_path, [{"job": str(job), "status": "finished"} for job in range(len(pairs))])
    assert find_notes(known) == [
        "all say it",
        "engine=compiled was asked for, and 3 of 4 jobs fell back: 2 to replay, 1 to eager; exp.log of each says why",
        "engine=replay was asked for, and 1 of 2 jobs fell back: 1 to eager; exp.log of each says why",
    ]
    alike = {job: replace(known["1"], notes=("engine=replay is in use: the reason of all",)) for job in "12"}
    assert find_notes(alike) == ["engine=replay is in use: the reason of all"]
