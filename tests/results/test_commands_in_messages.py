"""The command lines that a run prints: they can be pasted into a shell."""

import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from exp.cli.validation import check_run_folder, check_sweep_folder
from exp.config.experiment_file import read_experiment
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError
from exp.results.console import ConsoleSink
from exp.results.initial import find_initial
from exp.results.run_folder import refuse_links, report_command, resume_command
from exp.training.events import Ending


def test_the_folder_is_quoted_for_hydra_and_the_shell():
    folder = Path("my runs/a, b")
    assert shlex.split(resume_command(folder, "epochs=4"))[3:] == ['resume="my runs/a, b"', "epochs=4"]
    assert shlex.split(report_command(folder))[3:] == ["report", "run=my runs/a, b"]


@pytest.fixture
def in_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a sweep with a run in it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("my runs/sweep")
    (folder / "0/.hydra").mkdir(parents=True)
    (folder / "0/.hydra/overrides.yaml").write_text("[]")
    (folder / "0/.hydra/config.yaml").write_text("epochs: 1")
    (folder / "multirun.yaml").write_text("hydra: {}")
    (folder / "sweep.json").write_text("{}")
    return folder


def test_what_to_type_is_quoted_too(in_spaces: Path):
    with pytest.raises(ConfigError) as error:
        find_initial("my runs/sweep")
    assert shlex.split(error.value.fix) == [error.value.override] == ["init=my runs/sweep/0"]
    (in_spaces / "0/checkpoints").mkdir()
    (in_spaces / "0/checkpoints/last.pt").touch()
    with pytest.raises(ConfigError) as error:
        find_initial("my runs/sweep/0:best")
    assert shlex.split(error.value.fix) == [error.value.override] == ["init=my runs/sweep/0:last"]


def test_a_folder_that_is_taken_is_quoted(in_spaces: Path):
    hydra = {"run": {"dir": str(in_spaces / "0")}, "sweep": {"dir": str(in_spaces)}, "sweeper": {"_target_": "search"}}
    config = OmegaConf.create({"resume": None, "sweep": {"resume": None}, "hydra": hydra})
    with pytest.raises(ConfigError) as error:
        check_run_folder(config)
    assert error.value.fix.startswith("'resume=my runs/sweep/0' to resume it, or ")
    with pytest.raises(ConfigError) as error:
        check_sweep_folder(config)
    assert error.value.fix == "'hydra.sweep.dir=my runs/sweep-2'"
    config.hydra.sweeper["_target_"] = "hydra_plugins.exp_plugins.ExpSweeper"
    with pytest.raises(ConfigError) as error:
        check_sweep_folder(config)
    assert error.value.fix.startswith("'sweep.resume=my runs/sweep' to resume it, or ")


def test_commands_with_files_are_quoted(in_spaces: Path):
    (in_spaces / "0/link").symlink_to("/")
    with pytest.raises(ConfigError) as error:
        refuse_links(in_spaces / "0")
    assert shlex.split(error.value.fix) == ["rm", "my runs/sweep/0/link"]
    with pytest.raises(ConfigError) as error:
        read_experiment("my runs/sweep/multirn.yaml")
    assert shlex.split(error.value.fix) == ["python", "-m", "exp", "my runs/sweep/multirun.yaml"]
    (in_spaces / "dataset").mkdir()
    (in_spaces / "dataset/iris.yaml").touch()
    with pytest.raises(ConfigError) as error:
        refuse_hydra_settings([], [], [str(in_spaces)])
    theirs = "my runs/sweep/dataset/iris.yaml"
    assert shlex.split(error.value.fix)[2:] == ["mv", theirs, theirs.replace("iris", "my_iris")]


def test_an_interrupted_run_is_only_saved_if_it_has_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ConsoleSink(tmp_path).close(Ending("interrupted"))
    assert "interrupted before the first checkpoint; to start again: python -m exp resume=" in capsys.readouterr().out
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.pt").touch()
    ConsoleSink(tmp_path).close(Ending("interrupted"))
    assert "interrupted and saved; to resume: python -m exp resume=" in capsys.readouterr().out
