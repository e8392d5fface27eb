"""A command imports only what it uses."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import forking
import pytest

from exp.cli.commands import COMMANDS

HEAVY = {"torch", "numpy", "sklearn", "matplotlib", "tensorboard", "rich", "jinja2"}


def imported(folder: Path, *typed: str, **environment: str) -> set[str]:
    """Every module that `python -m exp` imports with these arguments, according to -X importtime."""
    command = [sys.executable, "-X", "importtime", "-m", "exp", *typed]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    return modules_in(done.stderr)


def modules_in(import_times: str) -> set[str]:
    return set(re.findall(r"^import time:.*\| +(\S+)$", import_times, re.MULTILINE))


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "--help",
            "-m epochs=1,x",
        ),
        *(
            pytest.param(typed, marks=pytest.mark.slow)
            for typed in (
                *("optimiser.lr=0.1", "export run=nowhere format=exe out=out.py"),
                *("--cfg job", "epochs=-1", "model=mpl", "status nowhere", "best nowhere"),
                *("refit nowhere", "refit nowhere outt=run"),
                *("evaluate run=nowhere", "evaluate run=. ensemble=yes"),
                *("predict run=nowhere data=new.csv out=out.csv",),
                *("importance run=nowhere", "importance run=. metric=aucc", "importance run=. repeats=0"),
            )
        ),
    ],
)
def test_a_command_that_trains_nothing_does_not_import_torch(typed: str, tmp_path: Path):
    modules = imported(tmp_path, *typed.split())
    assert "hydra" in modules
    assert modules.isdisjoint(HEAVY)


def test_a_sweep_is_read_and_listed_without_torch(tmp_path: Path):
    line = "-m dataset=xor epochs=1 figures=false optimizer.lr=0.1,0.2 hydra.sweep.dir=sweep"
    assert forking.run("exp", [*line.split(), "sweep.workers=0"], tmp_path).returncode == 0
    assert imported(tmp_path, "status", "sweep", "sweep/0").isdisjoint(HEAVY)
    for command in ("ls", "best"):
        assert imported(tmp_path, command, "lr=0.1", "--sort").isdisjoint(HEAVY)


def test_completion_does_not_import_torch(tmp_path: Path):
    modules = imported(tmp_path, "-sc", "query=bash", COMP_LINE="exp optimizer=")
    assert "hydra" in modules
    assert modules.isdisjoint(HEAVY)


# Neither a run nor its figures need these.
NEVER_IN_A_RUN = {"sklearn", "scipy", "pandas", "matplotlib.pyplot", "torch._dynamo", "sympy"}


def test_a_run_imports_only_what_it_uses(tmp_path: Path):
    """No matplotlib or jinja2 without figures."""
    schedule = ["scheduler=step", "optimizer=adam"]
    modules = imported(tmp_path, "dataset=xor", "figures=false", "epochs=300", *schedule)
    assert "torch" in modules
    assert modules.isdisjoint({*NEVER_IN_A_RUN, "matplotlib", "jinja2"})


WORKER = [sys.executable, "-X", "importtime", "-m", "exp.sweeps.worker"]


def test_a_worker_of_a_sweep_imports_no_hydra():
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stderr is not None
        worker.stdin.write(pickle.dumps(None))  # no more tasks
        worker.stdin.flush()
        modules = modules_in(worker.stderr.read().decode())
    assert "exp.training.loop" in modules
    assert modules.isdisjoint({*NEVER_IN_A_RUN, "hydra"})


def test_a_worker_whose_sweep_is_gone_does_not_import_to_the_end():
    """It would keep the stderr of a command that was killed open for seconds."""
    done = subprocess.run(WORKER, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0
    modules = modules_in(done.stderr)
    assert "exp.sweeps.task" in modules
    assert "torch" not in modules


@pytest.mark.parametrize(
    "typed",
    [
        "dataset=cancer",
        *(
            pytest.param(f"dataset={name}", marks=pytest.mark.slow)
            for name in (
                "iris",
                "wine",
                "digits",
                "diabetes",
                "moons",
                "moons dataset.scaler=standard",
                "iris folds=3 fold=1",
            )
        ),
    ],
)
def test_a_run_with_figures_on_a_shipped_dataset_imports_no_scikit_learn(typed: str, tmp_path: Path):
    modules = imported(tmp_path, *typed.split(), "epochs=1")
    assert "matplotlib" in modules
    assert modules.isdisjoint(NEVER_IN_A_RUN)


@pytest.mark.slow
def test_each_command_can_be_imported_first():
    """In processes that have nothing of exp; tests/forking.py imports all commands, in one order."""
    modules = [f"exp.{name}" for name in (*COMMANDS, "run")]
    script = str(Path(forking.__file__).with_name("first_imports.py"))
    done = subprocess.run([sys.executable, "-W", "error", script, *modules], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
