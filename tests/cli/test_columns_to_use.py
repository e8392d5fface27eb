"""Columns to use or to leave out that are named in another way are answered with dataset.drop."""

from pathlib import Path

import pytest

from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import check_line, diagnose
from exp.config.constraints import violation

BASE = "dataset=table dataset.path=t.csv dataset.target=label dataset.weight=w"


@pytest.mark.parametrize(
    ("typed", "override"),
    [
        ("dataset.columns=[a,b]", "dataset.drop=[c d]"),
        ("dataset.columns=a", "dataset.drop=[b,c d]"),
        ("dataset.features=[a,b,c d,label]", None),
        ("dataset.usecols=[a,zebra]", None),
        ("dataset.columns={a: category}", "dataset.kinds={a: category}"),
        ("dataset.ignore=[a]", "dataset.drop=[a]"),
        ("dataset.exclude=[a]", "dataset.drop=[a]"),
    ],
)
def test_a_key_that_names_columns(typed: str, override: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "t.csv").write_text("a,b,c d,w,label\n1,2,3,4,5\n")
    monkeypatch.chdir(tmp_path)
    line = CommandLine.parse([*BASE.split(), typed])
    with pytest.raises(Exception) as caught:  # noqa: PT011
        check_line(line)
    told = diagnose(caught.value, line)
    assert typed.partition("=")[0] in str(told)
    assert "dataset.drop" in str(told)
    if override is None:
        assert "try: dataset.drop=[COLUMN]" in str(told)
    else:
        assert told.corrected is not None
        assert override in told.corrected.overrides


@pytest.mark.parametrize(
    ("kind", "fix"),
    [
        ("ignore", "'dataset.drop=[city]'"),
        ("drop", "'dataset.drop=[city]'"),
        ("numbr", "'dataset.kinds={city: number}'"),
        ("float", "'dataset.kinds={city: number}'"),
        ("string", "'dataset.kinds={city: category}'"),
        ("datetime", "'dataset.kinds={city: date}'"),
    ],
)
def test_a_kind_that_there_is_not(kind: str, fix: str):
    error = violation("dataset.kinds", {"city": kind})
    assert f"number, boolean, date or category, got {{city: {kind}}}" in error.problem
    assert error.fix == fix
    assert ("dataset.drop" in error.problem) == ("dataset.drop" in fix)
    assert error.override == (None if "dataset.drop" in fix else fix.strip("'"))
