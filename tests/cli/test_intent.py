"""A table, a column, a command or a run in any likely order: the error shows the whole command to type."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import forking
import pytest

from exp.cli.command_line import CommandLine
from exp.cli.diagnosis import check_line

_TABLE = "dataset=table dataset.path=titanic.csv dataset.target=survived"

# What is typed, and the command that the error shows.
MEANT = [
    ("survived titanic.csv", "dataset.target=survived dataset=table dataset.path=titanic.csv"),
    ("dataset=titanic.csv target=age", "dataset=table dataset.path=titanic.csv dataset.target=age"),
    ("dataset.path=titanic.csv", _TABLE),
    ("dataset=table dataset.path=titanic.csv", _TABLE),
    ("seed=1 titanic.csv optimzer=adam", f"seed=1 {_TABLE} optimizer=adam"),
    ("rows.npz", "dataset=arrays dataset.path=rows.npz"),
    ("train dataset=iris", "dataset=iris"),
    ("help", "--help"),
    ("run=R evaluate", "evaluate run=R"),
    ("split=test run=R", "evaluate run=R split=test"),
    ("--evaluate run=R", "evaluate run=R"),
    ("evaluate", "evaluate run=FOLDER"),
    ("evaluate rum=R", "evaluate run=R"),
    ("predict new.csv run=R", "predict run=R data=new.csv out=predictions.csv"),
    ("export run=R", "export run=R format=script out=train.py"),
    ("evaluate run R", "evaluate run=R"),
    ("predict run=R run=S data=new.csv out=told.csv", "predict run=R data=new.csv out=told.csv"),
    ("diff R", "diff R OTHER"),
    ("predict --version", "--version"),
    # commands that are misspelt
    ("infer R new.csv", "predict run=R data=new.csv out=predictions.csv"),
    # folders and files
    ("runs/one", "resume=runs/one"),
    ("--resume runs/one", "resume=runs/one"),
    ("runs/one/checkpoints/best.pt", "evaluate run=runs/one checkpoint=best"),
    ("resume=runs/one/checkpoints/last.pt", "resume=runs/one"),
    ("sweeps/two", "-m sweep.resume=sweeps/two"),
    ("resume=sweeps/two", "-m sweep.resume=sweeps/two"),
    ("-m sweep.resume=runs/one", "resume=runs/one"),
    # keys without "="
    ("dataset iris", "dataset=iris"),
    # Variants, which run no line of exp that the lines above do not run.
    ("titanic.csv", _TABLE),
    ("titanic.csv survived", _TABLE),
    ("age titanic.csv epochs=3", "dataset.target=age dataset=table dataset.path=titanic.csv epochs=3"),
    ("dataset=titanic.csv", _TABLE),
    ("data=titanic.csv dataset.target=age", "dataset=table dataset.path=titanic.csv dataset.target=age"),
    ("dataset=table titanic.csv", _TABLE),
    ("sweep seed=1,2", "-m seed=1,2"),
    ("run=R split=test", "evaluate run=R split=test"),
    ("evaluate R", "evaluate run=R"),
    ("evaluate split=test R", "evaluate run=R split=test"),
    ("verify R", "verify resume=R"),
    ("verify R 5", "verify resume=R kills=5"),
    ("verify run=R", "verify resume=R"),
    ("verify folder=R", "verify resume=R"),
    ("evaluate resume=R", "evaluate run=R"),
    ("evaluate --run R", "evaluate run=R"),
    ("evaluate --run=R best", "evaluate run=R checkpoint=best"),
    ("evaluate run = R", "evaluate run=R"),
    ("evaluate run= R split =val", "evaluate run=R split=val"),
    ("evaluate R test", "evaluate run=R split=test"),
    ("evaluate R new.csv", "evaluate run=R data=new.csv"),
    ("predict R new.csv told.csv", "predict run=R data=new.csv out=told.csv"),
    ("predict run='my runs/R' data=new.csv", "predict 'run=my runs/R' data=new.csv out=predictions.csv"),
    ("export R model.pt2", "export run=R format=pt2 out=model.pt2"),
    ("export run=R format=onnx", "export run=R format=onnx out=train.onnx"),
    ("diff R S T", "diff R S"),
    ("diff --run R --other S", "diff R S"),
    ("evalute run=R", "evaluate run=R"),
    ("eval run=R", "evaluate run=R"),
    ("Evaluate run=R", "evaluate run=R"),
    ("predct run=R data=new.csv out=told.csv", "predict run=R data=new.csv out=told.csv"),
    ("evalute", "evaluate run=FOLDER"),
    ("compare R S", "diff R S"),
    ("test run=R", "evaluate run=R"),
    ("resume runs/one", "resume=runs/one"),
    ("resume runs/one epochs=5", "resume=runs/one epochs=5"),
    ("rows.txt", "dataset=table dataset.path=rows.txt dataset.target=b"),
    ("resume=sweeps/two epochs=5", "-m sweep.resume=sweeps/two epochs=5"),
    ("epochs 5", "epochs=5"),
    ("optimizer.lr 0.1 dataset=iris", "optimizer.lr=0.1 dataset=iris"),
    ("lr 0.1", "optimizer.lr=0.1"),
]
VARIANTS = [typed for typed, _ in MEANT].index("titanic.csv")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        case if n < VARIANTS and n % 4 == 0 else pytest.param(*case, marks=pytest.mark.slow)
        for n, case in enumerate(MEANT)
    ],
    ids=[typed for typed, _ in MEANT],
)
def test_the_error_shows_the_whole_command(typed: str, line: str, tmp_path: Path):
    (tmp_path / "titanic.csv").write_text("name,age,survived\nA,1,0\nB,2,1\n")
    (tmp_path / "rows.txt").write_text("a,b\n1,0\n2,1\n")
    for path, text in {
        "runs/one/.hydra/overrides.yaml": "[dataset=xor]",
        "runs/one/checkpoints/best.pt": "",
        "runs/one/checkpoints/last.pt": "",
        "sweeps/two/sweep.json": "{}",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    done = forking.run("exp", shlex.split(typed), tmp_path)
    assert done.returncode == 1
    assert f"python -m exp {line}\n" in done.stderr or f"  try: {line}\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()
    if line.startswith("dataset"):
        check_line(CommandLine.parse(shlex.split(line)))


def test_the_error_names_the_latest_run(exp, tmp_path: Path):
    assert exp("dataset=xor", "epochs=1", "figures=false").returncode == 0
    (folder,) = tmp_path.glob("outputs/*/*")
    done = exp("evaluate")
    assert done.stderr.endswith(f"  try: python -m exp evaluate run={folder.relative_to(tmp_path)}\n")
    sweep = "-m dataset=xor epochs=1 figures=false seed=1,2 sweep.workers=0 hydra.sweep.dir=outputs/s"
    assert exp(*sweep.split()).returncode == 0
    assert exp("status").stderr.endswith("  try: python -m exp status outputs/s\n")  # not one of its jobs


def test_a_folder_needs_no_key(exp, xor_run: Path, tmp_path: Path):
    shutil.copytree(xor_run, tmp_path / "run")
    for command in ("evaluate", "importance"):
        assert exp(command, "run").stdout == exp(command, "run=run").stdout != ""
    assert exp("evaluate", "run", "split=val").stdout == exp("evaluate", "split=val", "run=run").stdout
    assert "evaluate run=run run=nowhere" not in (printed := exp("evaluate", "run", "run=nowhere").stderr)
    assert "evaluate takes one" in printed


@pytest.mark.parametrize(
    "typed",
    [
        "titanic.csv",
        pytest.param("evaluate", marks=pytest.mark.slow),
        pytest.param("predict rn=x", marks=pytest.mark.slow),
        pytest.param("diff a", marks=pytest.mark.slow),
        pytest.param("run=R split=test", marks=pytest.mark.slow),
    ],
)
def test_these_errors_do_not_import_torch(typed: str, tmp_path: Path):
    command = [sys.executable, "-X", "importtime", "-m", "exp", *typed.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert imported.isdisjoint({"torch", "numpy", "sklearn", "matplotlib", "rich", "pandas"})
