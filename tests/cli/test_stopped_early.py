"""Ctrl-C before a run has a step to save: no traceback, and how to begin again."""

import subprocess
import sys
from pathlib import Path

import pytest

import exp.run
from exp.cli.main import train_or_sweep

# What Ctrl-C does while a module of exp is imported.
STOPPED_IMPORT = """
import runpy, sys
class Stop:
    def find_spec(name, *_):
        if name == "exp.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop)
runpy.run_module("exp", run_name="__main__")
"""


def test_while_the_command_is_imported():
    done = subprocess.run([sys.executable, "-c", STOPPED_IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(exp.run, "run", stop)
        done = train_or_sweep(["dataset=xor", "epochs=1", "hydra.run.dir=run"], returns_if_stopped=True)
    assert done.exit_code == 130
    assert capsys.readouterr().out == "stopped before the first step; to begin again: python -m exp resume=run\n"
    assert train_or_sweep(["resume=run", "figures=false"]).exit_code == 0


def test_where_a_library_fails_to_clean_up(monkeypatch: pytest.MonkeyPatch):
    """OmegaConf raised AttributeError when Ctrl-C came while a config was composed."""

    def stop(*_: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("'NoneType' object has no attribute '_invalidate_flags_cache'")

    monkeypatch.setattr("exp.cli.main.run_application", stop)
    with pytest.raises(KeyboardInterrupt):
        train_or_sweep(["dataset=xor", "epochs=1"], returns_if_stopped=True)
