"""A run that was copied to another machine finds its data by `dataset.path=NEW`, if the rows are the same."""

import shutil
from pathlib import Path

import pytest

from exp import load, train
from exp.cli.commands import run_command
from exp.errors import ExpError
from exp.evaluate import evaluate
from exp.export import export
from exp.report import report

ROWS = [f"{i % 7},{i % 3},{'yn'[i % 2]}" for i in range(60)]
NOTE = "dataset.path=new/d.csv: its rows are those that the run was trained on"


def write(path: str, rows: list[str]) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("\n".join(["x,z,ill", *rows]) + "\n")


@pytest.fixture(autouse=True)
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder `run` and its data, in other places than where it was trained."""
    (tmp_path / "home").mkdir()
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    write("data.csv", ROWS)
    line = ["dataset=table", "dataset.path=data.csv", "dataset.target=ill", "figures=false", "hydra.run.dir=run"]
    train(*line, epochs=2)
    shutil.move("run", tmp_path / "away/run")
    monkeypatch.chdir(tmp_path / "away")
    write("new/d.csv", ROWS)
    write("new/other.csv", ROWS[1:])


def test_a_run_is_resumed(capsys: pytest.CaptureFixture[str]):
    write("data2.csv", ROWS[1:])  # a similar name is no sign of the same rows
    with pytest.raises(ExpError, match=r'\n  try: train\("resume=run", "epochs=4", "dataset.path=NEW"\)'):
        train("resume=run", epochs=4)
    with pytest.raises(ExpError, match=r"the rows differ .* fingerprint was \w{12}, is now \w{12}"):
        train("resume=run", "dataset.path=new/other.csv", epochs=4)
    assert NOTE not in capsys.readouterr().out
    with pytest.raises(ExpError) as shorter:  # not also an unknown key, without the run's own options
        train("resume=run", "dataset.path=new/d.csv", epochs=1)
    assert str(shorter.value).startswith("epochs=1 is less than the run's 2\n")
    assert "unknown key" not in str(shorter.value)
    train("resume=run", "dataset.path=new/d.csv")
    assert f"resume={Path('run').absolute()} dataset.path=new/d.csv epochs=4" in capsys.readouterr().out
    train("resume=run", "dataset.path=new/d.csv", epochs=4)
    assert capsys.readouterr().out.count(NOTE) == 1
    train("resume=run", epochs=6)  # the run knows the new place
    assert NOTE not in capsys.readouterr().out


@pytest.mark.slow
def test_its_model_is_evaluated_exported_and_reported(capsys: pytest.CaptureFixture[str]):
    final = load("run").final["test"]
    run_command(evaluate, ["run=run", "dataset.path=new/d.csv"])
    out = capsys.readouterr().out
    assert NOTE in out
    assert f"loss {final['loss']!r}" in out
    export(run="run", format="script", out="train.py", **{"dataset.path": "new/d.csv"})
    run_command(report, ["run=run", "dataset.path=new/d.csv"])
    assert "95 % confidence" in Path("run/report.html").read_text()
    assert load("run", "dataset.path=new/d.csv").trained.evaluate("test").values() == final


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=run"], "try: dataset.path=NEW, where the file is now"),
        pytest.param(
            ["run=run", "dataset.path=new/rows in.csv"],
            "try: 'dataset.path=new/rows inn.csv', where the file is now",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["run=run", "dataset.path=new/dd.csv"],
            "try: dataset.path=new/d.csv, where the file is now",
            marks=pytest.mark.slow,
        ),
        pytest.param(["run=run", "dataset.path=new/other.csv"], "fingerprint was", marks=pytest.mark.slow),
        (["run=run", "dataset.test_path=new/d.csv"], "no file of that key (available: dataset.path)"),
        pytest.param(
            ["run=run", "path=new/d.csv"],
            "try: python -m exp evaluate run=run dataset.path=new/d.csv",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_another_file_is_refused(arguments: list[str], message: str):
    write("data2.csv", ROWS)
    write("new/rows inn.csv", ROWS)
    with pytest.raises(SystemExit) as stop:
        run_command(evaluate, arguments)
    assert message in str(stop.value)
