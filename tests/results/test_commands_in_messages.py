"""The command lines that a run prints: they can be pasted into a shell."""

import shlex
from pathlib import Path

import pytest

from exp.results.console import ConsoleSink
from exp.results.run_folder import report_command, resume_command
from exp.training.events import Ending


def test_the_folder_is_quoted_for_hydra_and_the_shell():
    folder = Path("my runs/a, b")
    assert shlex.split(resume_command(folder, "epochs=4"))[3:] == ['resume="my runs/a, b"', "epochs=4"]
    assert shlex.split(report_command(folder))[3:] == ["report", "run=my runs/a, b"]


def test_an_interrupted_run_is_only_saved_if_it_has_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ConsoleSink(tmp_path).close(Ending("interrupted"))
    assert "interrupted before the first checkpoint; to start again: python -m exp resume=" in capsys.readouterr().out
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.pt").touch()
    ConsoleSink(tmp_path).close(Ending("interrupted"))
    assert "interrupted and saved; to resume: python -m exp resume=" in capsys.readouterr().out
