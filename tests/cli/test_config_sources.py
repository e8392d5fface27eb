"""--config-dir, --config-name and hydra.searchpath name YAML files of one's own, which later commands find again."""

import shutil
import subprocess
from pathlib import Path

import forking
import pytest

from exp.cli.command_line import CommandLine
from exp.config.compose import compose_config, sweep_loader
from exp.errors import ConfigError

NETS = """\
from torch import nn


class Wide(nn.Linear):
    def __init__(self, in_features, out_features, width):
        super().__init__(in_features, out_features)
"""
SHORT = ("dataset=iris", "epochs=1", "figures=false")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mypkg/conf/model").mkdir(parents=True)
    (tmp_path / "mypkg/__init__.py").write_text("open('imported', 'w')\n")
    (tmp_path / "mypkg/nets.py").write_text(NETS)
    (tmp_path / "mypkg/conf/model/wide.yaml").write_text("# Wide.\n_target_: mypkg.nets.Wide\nwidth: 3\n")
    (tmp_path / "mypkg/conf/main.yaml").write_text(
        "defaults: [config, model: wide, _self_]\nepochs: 1\nmodel.width: 5\n"
    )
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = forking.run("exp", [*words], Path.cwd(), allow="mypkg")
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("place", ["pkg://mypkg.conf", "file://mypkg/conf", "mypkg/conf"])
def test_a_searchpath_is_the_folder_of_a_config_dir(place: str):
    line = CommandLine.parse([f"hydra.searchpath=[{place}]", "model=wide"])
    folder = str(Path("mypkg/conf").absolute())
    assert (line.flags, line.overrides, line.config_dir) == (("--config-dir", folder), ("model=wide",), folder)
    assert not Path("imported").exists()


def test_a_package_is_sought_in_the_folder_that_is_current_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Python keeps what it finds for "." by the folder that was current first, as before os.chdir in a notebook."""
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("sys.path_importer_cache", {})
    with monkeypatch.context() as before:
        before.chdir(elsewhere)
        with pytest.raises(ConfigError, match="no package mypkg"):
            CommandLine.parse(["hydra.searchpath=[pkg://mypkg.conf]"])
    assert CommandLine.parse(["hydra.searchpath=[pkg://mypkg.conf]"]).config_dir == str(tmp_path / "mypkg/conf")


@pytest.mark.slow
def test_its_options_are_found_again_by_later_commands():
    run("hydra.searchpath=[pkg://mypkg.conf]", "model=wide", *SHORT, "hydra.run.dir=run")
    assert "wide(width=3)" in run("resume=run", "epochs=2").stdout
    words = ("-m", "hydra.searchpath=[pkg://mypkg.conf]", "model=wide,linear", *SHORT, "hydra.sweep.dir=sweep")
    run(*words, "sweep.workers=0")
    assert f"--config-dir {Path.cwd()}/mypkg/conf " in run("best", "sweep").stdout
    assert "2  " in run("-m", "sweep.resume=sweep", "seed=0,1", "sweep.workers=0").stdout


@pytest.mark.parametrize("name", ["Möhre", "実験", "a lab (2), é", "x[1]", 'it\'s "q"', "a\\b\\", "a=b#%20"])
def test_its_place_has_any_letters(tmp_path: Path, name: str):
    shutil.copytree("mypkg/conf", conf := tmp_path / name / "conf")
    line = CommandLine.parse(["--config-dir", str(conf), "model=wide", "epochs=1"])
    assert compose_config(line.overrides, [str(line.config_dir)]).model.width == 3
    with sweep_loader(line.overrides, [str(line.config_dir)]) as (_, config):
        assert config.model.width == 3


def test_a_config_name_is_a_file_above_exps_defaults():
    words = ("--config-dir", "mypkg/conf", "--config-name", "main", "dataset=iris", "figures=false")
    assert "wide(width=5): 4 -> 3" in run(*words, "hydra.run.dir=run").stdout
    shutil.move("mypkg/conf/main.yaml", "elsewhere.yaml")
    assert "wide(width=5): 4 -> 3" in run("resume=run", "epochs=2").stdout


def test_a_folder_that_is_gone_is_named_by_the_command_that_needs_it():
    run("hydra.searchpath=[pkg://mypkg.conf]", "model=wide", *SHORT, "hydra.run.dir=run")
    shutil.move("mypkg/conf", "moved")
    said = run("resume=run", "epochs=2", code=1).stderr
    assert f"the folder of its own YAML files, --config-dir {Path.cwd()}/mypkg/conf, is not there" in said
    assert "try: python -m exp --config-dir ITS_NEW_PLACE resume=run\n" in said
    assert "wide(width=3)" in run("--config-dir", "moved", "resume=run", "epochs=2").stdout
    shutil.move("run", "a, b")
    shutil.move("moved", "again")
    said = run('resume="a, b"', code=1).stderr
    assert "try: python -m exp --config-dir ITS_NEW_PLACE 'resume=\"a, b\"'\n" in said


def test_a_searchpath_cannot_change_hydras_settings():
    hostile = Path("mypkg/conf/experiment/hostile.yaml")
    hostile.parent.mkdir()
    hostile.write_text("# @package _global_\nhydra: {callbacks: {a: {_target_: mypkg.nets.Wide}}}\n")
    said = run("hydra.searchpath=[pkg://mypkg.conf]", "experiment=hostile", code=1).stderr
    assert "hydra.callbacks.a._target_ is set by a YAML file" in said
    assert not Path("imported").exists()
    assert not Path("outputs").exists()


MISTAKES = [
    ("hydra.searchpath=pkg://mypkg.conf", "it must be a list", "'hydra.searchpath=[pkg://mypkg.conf]'"),
    (
        "hydra.searchpath=[pkg://mypkq.conf]",
        "no package mypkq in the current folder or installed",
        "pip install -e the",
    ),
    ("hydra.searchpath=[pkg://mypkg.cnf]", "/mypkg has no folder cnf", "'hydra.searchpath=[pkg://mypkg.conf]'"),
    ("hydra.searchpath=[file://mypk]", "file://mypk: no such folder", "'hydra.searchpath=[file://mypkg]'"),
    ("hydra.searchpath=[http://x]", "http://x is neither file://FOLDER nor pkg://", "'hydra.searchpath=[file://x]'"),
    (
        "hydra.searchpath=[mypkg,other]",
        "the YAML files of one folder, got mypkg, other",
        "--config-dir mypkg, with the",
    ),
    (
        "hydra.searchpath=[mypkg] --config-dir mypkg/conf",
        "of one folder, got mypkg, --config",
        "--config-dir mypkg/conf",
    ),
    ("--config-dir mypk epochs=1", "/mypk: no such folder", "python -m exp --config-dir mypkg epochs=1"),
    ("--config-dir mypkg/nets.py", "mypkg/nets.py: it is a file", "python -m exp mypkg/nets.py"),
    (
        "--config-dir mypkg/conf --config-name man",
        "mypkg/conf/man.yaml: file not found",
        "python -m exp mypkg/conf/main",
    ),
    (
        "--config-name main",
        "it is a file in the folder of --config-dir",
        "python -m exp --config-dir FOLDER --config-name",
    ),
    ("-cn main epochs=1", "it is a file in the folder of --config-dir", "python -m exp --config-dir FOLDER"),
]


@pytest.mark.parametrize(("typed", "what", "fix"), MISTAKES)
def test_a_wrong_place_is_answered(typed: str, what: str, fix: str):
    with pytest.raises(ConfigError) as caught:
        CommandLine.parse(typed.split())
    assert what in caught.value.problem
    assert caught.value.fix.startswith(fix)
