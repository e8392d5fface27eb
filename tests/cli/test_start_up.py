"""What a command waits for: only what it uses is imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy", "sklearn", "matplotlib", "tensorboard", "rich", "jinja2"}


def imported(folder: Path, *typed: str, **environment: str) -> set[str]:
    """Every module that `python -m exp` with these words imports, as the interpreter tells it."""
    command = [sys.executable, "-X", "importtime", "-m", "exp", *typed]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))


@pytest.mark.parametrize(
    "typed", ["--help", "--cfg job", "optimiser.lr=0.1", "epochs=-1", "model=mpl", "-m epochs=1,x"]
)
def test_what_trains_nothing_does_not_wait_for_torch(typed: str, tmp_path: Path):
    modules = imported(tmp_path, *typed.split())
    assert "hydra" in modules
    assert modules.isdisjoint(HEAVY)


def test_completion_does_not_wait_for_torch(tmp_path: Path):
    modules = imported(tmp_path, "-sc", "query=bash", COMP_LINE="exp optimizer=")
    assert "hydra" in modules
    assert modules.isdisjoint(HEAVY)


def test_a_run_imports_what_it_uses(tmp_path: Path):
    """Neither scikit-learn nor matplotlib nor jinja2 where nothing needs them, and never torch.compile."""
    schedule = ["scheduler=step", "optimizer=adam"]
    modules = imported(tmp_path, "dataset=xor", "figures=false", "epochs=300", *schedule)
    assert "torch" in modules
    assert modules.isdisjoint({"sklearn", "matplotlib", "jinja2", "torch._dynamo", "sympy", "pandas"})
